"""MoCo v3: a prediction finds the projection of the other view by a moving average.

The method is from Chen et al. 2021, arXiv:2104.02057, section 3 and algorithm 1. The
negatives are the other images of the batch.
"""

import dataclasses
from typing import ClassVar

import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base, target
from ssl_jax.objectives import info_nce


@dataclasses.dataclass(frozen=True)
class MoCoV3(target.TargetMethod):
  """Contrasts predictions with the projections of a target network."""
  temperature: float = config_lib.field(
      0.2, above=0, doc='Temperature by which similarities are divided')

  min_images: ClassVar[int] = 2  # the other images of a batch are the negatives

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the sum of both directions of InfoNCE, times 2 x temperature."""
    del labels
    online, model_state = self.forward(params, variables.model_state, views)
    keys, state = self.project(variables.non_trainable, views)
    loss, metrics = info_nce.across_views(online['prediction'], keys, self.temperature)
    return 4 * self.temperature * loss, base.LossOutput(
        model_state, metrics, online, state)
