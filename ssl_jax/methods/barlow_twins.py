"""Barlow Twins: makes the features of two views correlate, each only with itself."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.objectives import cross_correlation


@dataclasses.dataclass(frozen=True)
class BarlowTwins(base.Base):
  """Trains an encoder by Barlow Twins (arXiv:2103.03230)."""
  redundancy_weight: float = config_lib.field(
      0.005, low=0., doc='Weight of the correlations of different features (lambda)')

  num_crops: ClassVar[int] = 2
  min_images: ClassVar[int] = 2  # one image has no correlations

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    return {'projector': spec.projector(dtype=dtype)}

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    del labels
    endpoints, model_state = self.forward(params, variables.model_state, views)
    loss = cross_correlation.barlow_twins(endpoints['projection'],
                                          self.redundancy_weight)
    return loss, base.LossOutput(model_state, metrics={}, endpoints=endpoints)
