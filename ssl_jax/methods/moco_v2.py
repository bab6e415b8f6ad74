"""MoCo v2: a view finds its other view among the keys of earlier images in a queue.

The method is from He et al. 2020, arXiv:1911.05722, section 3, with the projector, the
views and the schedule of Chen et al. 2020, arXiv:2003.04297. Each view is a query once
and a key once, as in the authors' demonstration on CIFAR-10. The keys need no shuffled
BatchNorm, because BatchNorm normalises by the global batch.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.methods import queue as queue_lib
from ssl_jax.methods import target as target_lib
from ssl_jax.objectives import info_nce


@dataclasses.dataclass(frozen=True)
class MoCoV2(base.Base):
  """Contrasts projections with keys of a target network and of a queue.

  `Variables.non_trainable` holds the target network ('target'; see methods/target.py)
  and the queue ('queue', float32 [K, D]).
  """
  temperature: float = config_lib.field(
      0.2, above=0, doc='Temperature by which similarities are divided')
  momentum: float = config_lib.field(
      0.99, low=0, high=1,
      doc='Decay of the moving average that is the target network (m)')
  queue_size: int = config_lib.field(
      32768, low=1, doc='Number of keys in the queue, which are the negatives (K)')

  num_crops: ClassVar[int] = 2

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    return {'projector': spec.projector(dtype=dtype)}

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    variables = super().init(key, image_shape)
    return self._with_target(variables, queue_lib.start(
        jax.random.fold_in(key, 1), self.queue_size, self.network.projector.dim))

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Returns the variables of a trained network, which is also the first target."""
    return self._with_target(super().with_pretrained(variables, encoder),
                             variables.non_trainable['queue'])

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes InfoNCE against the queue; then the keys enter the queue."""
    del labels
    endpoints, model_state = self.forward(params, variables.model_state, views)
    target, queue = (variables.non_trainable[name] for name in ('target', 'queue'))
    keys, batch_stats = self.forward(target['params'], target['batch_stats'], views)
    keys = keys['projection']
    loss, metrics = info_nce.against_queue(endpoints['projection'], keys, queue,
                                           self.temperature)
    return loss, base.LossOutput(model_state, metrics, endpoints, {
        'target': {**target, 'batch_stats': batch_stats},
        'queue': queue_lib.push(queue, keys)})

  def after_update(self, variables: base.Variables,
                   progress: jax.Array) -> base.Variables:
    del progress
    state = variables.non_trainable
    target = target_lib.moved(state['target'], variables.params, self.momentum)
    return variables.replace(non_trainable={**state, 'target': target})

  def _with_target(self, variables: base.Variables, queue: jax.Array) -> base.Variables:
    return variables.replace(non_trainable={
        'target': target_lib.copy_of(variables), 'queue': queue})
