"""SwAV: the clusters of one view are predicted from the other views.

The method is from Caron et al. 2020, arXiv:2006.09882. With crops of two sizes
(multi-crop), only the large ones have codes, and all crops predict them.
"""

import dataclasses
import itertools
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.methods import base
from ssl_jax.methods import queue as queue_lib
from ssl_jax.models import heads
from ssl_jax.objectives import swapped_prediction
from ssl_jax.parallel import mesh as mesh_lib

_LARGE = 2  # crops that have codes: those of the first size


@dataclasses.dataclass(frozen=True)
class SwAV(base.Base):
  """Predicts codes, balanced soft assignments to prototypes, of the two large crops.

  `Variables.non_trainable` holds the first prototypes ('prototypes'), the queues of
  both large crops ('queue', a list of float32 [L, D]) and whether they are used
  ('active').
  """
  temperature: float = config_lib.field(
      0.1, above=0, doc='Temperature of the predictions')
  prototypes: int = config_lib.field(3000, low=2, doc='Number of prototypes')
  epsilon: float = config_lib.field(
      0.05, above=0, doc='Weight of the entropy of the codes')
  sinkhorn_iterations: int = config_lib.field(
      3, low=1, doc='Iterations that balance the codes')
  freeze_prototypes: float = config_lib.field(
      0.002, low=0, high=1, doc='Fraction of the training in which the prototypes stay '
      'as they are drawn')
  queue_size: int = config_lib.field(
      3840, low=0, doc='Number of earlier embeddings of each large crop that are '
      'balanced together with the batch; 0 has no queue')
  queue_start: float = config_lib.field(
      0.05, low=0, high=1, doc='Fraction of the training after which the queue is used')

  num_crops: ClassVar[int | None] = None  # those that config.augment.views names
  min_images: ClassVar[int] = 2

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    number = spec.method.keywords.get('prototypes', SwAV.prototypes)
    return {'projector': spec.projector(dtype=dtype),
            'predictor': heads.Prototypes(number)}

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    variables = super().init(key, image_shape)
    keys = jax.random.split(jax.random.fold_in(key, 1), _LARGE)
    queues = [queue_lib.start(k, self.queue_size, self.network.projector.dim)
              for k in keys]
    return variables.replace(non_trainable={
        'prototypes': jnp.copy(variables.params['predictor']['kernel']),
        'queue': queues, 'active': jnp.zeros((), jnp.float32)})

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Returns the variables of a trained network with its prototypes."""
    state, new = variables.non_trainable, super().with_pretrained(variables, encoder)
    return new.replace(non_trainable={
        **state, 'prototypes': jnp.copy(new.params['predictor']['kernel'])})

  def loss(self, params: base.Tree, variables: base.Variables, views: base.Tree,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the swapped prediction, averaged over codes and other crops.

    Raises:
      errors.UserError: there are not two crops of the first size.
    """
    images, state = len(labels), variables.non_trainable
    outputs, model_state = self.forward(params, variables.model_state, views)
    sizes = outputs if isinstance(outputs, list) else [outputs]
    by_crop = lambda name: [
        x for size in sizes for x in jnp.unstack(
            size[name].reshape(images, -1, size[name].shape[-1]), axis=1)]
    scores, embeddings = by_crop('prediction'), by_crop('projection')
    self._check_crops(len(sizes[0]['prediction']) // images)
    codes = [self._codes(scores[s], state['queue'][s], params, state['active'])
             for s in range(_LARGE)]
    losses = [swapped_prediction.cross_entropy(codes[s], scores[t], self.temperature)
              for s, t in itertools.product(range(_LARGE), range(len(scores)))
              if s != t]
    used = codes[0].mean(0)
    metrics = {'prototype_entropy': -jax.scipy.special.xlogy(used, used).sum()}
    queues = [queue_lib.push(queue, z) if self.queue_size else queue
              for queue, z in zip(state['queue'], embeddings, strict=False)]
    return sum(losses) / len(losses), base.LossOutput(
        model_state, metrics, sizes[0], {**state, 'queue': queues})

  def after_update(self, variables: base.Variables,
                   progress: jax.Array) -> base.Variables:
    """Scales the prototypes to unit length, or restores the first ones."""
    state, params = variables.non_trainable, variables.params
    kernel = params['predictor']['kernel']
    kernel = jnp.where(progress < self.freeze_prototypes, state['prototypes'],
                       kernel / jnp.linalg.norm(kernel, axis=0, keepdims=True))
    active = (progress >= self.queue_start).astype(jnp.float32)
    return variables.replace(
        params={**params, 'predictor': {**params['predictor'], 'kernel': kernel}},
        non_trainable={**state, 'active': active})

  def _codes(self, scores: jax.Array, queue: jax.Array, params: base.Tree,
             active: jax.Array) -> jax.Array:
    """Returns the codes [B, K] of a crop, balanced together with its queue."""
    if not self.queue_size:
      return swapped_prediction.sinkhorn(scores, self.epsilon, self.sinkhorn_iterations)
    queue = mesh_lib.divide_rows(queue)  # each device balances its part
    earlier = heads.prototype_scores(queue, params['predictor']['kernel'])
    return swapped_prediction.sinkhorn(
        scores, self.epsilon, self.sinkhorn_iterations, earlier, active)

  def _check_crops(self, large: int) -> None:
    if large != _LARGE:
      raise errors.UserError(
          f'config.augment.views has {large} crops of its first size, but this method '
          f'predicts the codes of {_LARGE}; set it, for example to '
          'dict(large=dict(size=32, count=2), small=dict(size=16, count=4))')
