"""NNCLR: a prediction finds the nearest neighbour of the other view in a queue.

The method is from Dwibedi et al. 2021, arXiv:2104.14548, section 3.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.methods import queue as queue_lib
from ssl_jax.objectives import contrastive, info_nce


@dataclasses.dataclass(frozen=True)
class NNCLR(base.Base):
  """Contrasts nearest neighbours of projections with predictions of other views.

  `Variables.non_trainable` holds the queue, {'queue': float32 [K, D]}. The projections
  of first views enter it after they were looked up.
  """
  temperature: float = config_lib.field(
      0.2, above=0, doc='Temperature by which similarities are divided')
  queue_size: int = config_lib.field(
      65536, low=1, doc='Number of projections among which neighbours are searched')

  num_crops: ClassVar[int] = 2
  min_images: ClassVar[int] = 2  # the other images of a batch are the negatives

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    projector = spec.projector(dtype=dtype)
    return {'projector': projector,
            'predictor': spec.predictor(projector.dim, dtype=dtype)}

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    variables = super().init(key, image_shape)
    return variables.replace(non_trainable={'queue': queue_lib.start(
        jax.random.fold_in(key, 1), self.queue_size, self.network.projector.dim)})

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes InfoNCE (equations 2 and 4), averaged over both directions."""
    del labels
    endpoints, model_state = self.forward(params, variables.model_state, views)
    z, queue = endpoints['projection'], variables.non_trainable['queue']
    loss, metrics = info_nce.across_views(info_nce.nearest(z, queue),
                                          endpoints['prediction'], self.temperature)
    return loss, base.LossOutput(model_state, metrics, endpoints, {
        'queue': queue_lib.push(queue, contrastive.pairs(z)[:, 0])})
