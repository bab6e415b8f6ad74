"""A linear classifier that watches the features while they are being learned.

It has its own parameters and optimizer and sees the features only after
`stop_gradient`: training with and without it is bit-identical.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from ssl_jax import errors
from ssl_jax.methods import base
from ssl_jax.models import pooling
from ssl_jax.objectives import classification

Tree = Any


@flax.struct.dataclass
class ProbeState:
  params: dict[str, jax.Array]  # kernel f32 [D, C], bias f32 [C]
  opt_state: Tree


@dataclasses.dataclass(frozen=True)
class OnlineProbe:
  """Softmax regression on the training batch's own features, by Adam.

  Attributes:
    num_classes: of the labels.
    endpoint: the feature map it stands on.
    pool: how that becomes a vector, see models.pooling.
    learning_rate: constant.
  """
  num_classes: int
  endpoint: str = 'pooled'
  pool: str | int = 'mean'
  learning_rate: float = 1e-3

  @property
  def _tx(self) -> optax.GradientTransformation:
    return optax.adam(self.learning_rate)

  def init(self, method: base.Method, variables: base.Variables,
           image_shape: tuple[int, int, int]) -> ProbeState:
    """Zero weights, sized by the encoder's endpoints.

    Raises:
      errors.UserError: `endpoint` is not among them.
    """
    def features():
      batch = {'image': jnp.zeros((1, *image_shape), jnp.uint8)}
      return self._features(method.encode(method.encoder_variables(variables), batch))
    dim = jax.eval_shape(features).shape[-1]
    params = {'kernel': jnp.zeros((dim, self.num_classes)),
              'bias': jnp.zeros(self.num_classes)}
    return ProbeState(params, self._tx.init(params))

  def update(self, state: ProbeState, endpoints: Mapping[str, jax.Array],
             labels: jax.Array) -> tuple[ProbeState, jax.Array]:
    """One step on endpoints [B*V, ...] of labels [B]; returns top-1 before it.

    Rows whose label is -1 do not count.
    """
    features = jax.lax.stop_gradient(self._features(endpoints))
    labels = jnp.repeat(labels, features.shape[0] // labels.shape[0])

    def loss(params):
      logits = features @ params['kernel'] + params['bias'][None]
      return classification.softmax_cross_entropy(logits, labels), logits

    (_, logits), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, opt_state = self._tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return ProbeState(params, opt_state), classification.accuracy(logits, labels)

  def _features(self, endpoints):
    chosen = errors.lookup('config.train.online_endpoint', self.endpoint, endpoints)
    return pooling.pooled(chosen, self.pool)  # float32
