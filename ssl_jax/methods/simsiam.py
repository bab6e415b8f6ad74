"""SimSiam: predicts the projection of the other view, without a gradient through it.

The method is from Chen & He 2021, arXiv:2011.10566, section 3.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.objectives import alignment


@dataclasses.dataclass(frozen=True)
class SimSiam(base.Base):
  """Minimises negative cosine similarity, without negatives or a target network."""
  views_per_image: int = config_lib.field(
      2, low=2, doc='Number of views of an image; with more than 2, the target of a '
      'view is the mean of the projections of all others (FastSiam uses 4)')

  @classmethod
  def crops(cls, fields: Mapping[str, Any]) -> int:
    return fields.get('views_per_image', cls.views_per_image)

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    projector = spec.projector(dtype=dtype)
    predictor = spec.predictor(projector.dim, dtype=dtype)
    return {'projector': projector, 'predictor': predictor}

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the symmetric loss; the metric is 'embedding_spread'."""
    del labels
    endpoints, model_state = self.forward(params, variables.model_state, views)
    z = endpoints['projection']
    loss = alignment.negative_cosine(endpoints['prediction'], z, self.views_per_image)
    metrics = {'embedding_spread': alignment.spread(z)}
    return loss, base.LossOutput(model_state, metrics, endpoints)
