"""A linear classifier that watches the features while they are being learned.

It has its own parameters and optimizer and sees the features only after
`stop_gradient`: training with and without it is bit-identical.
"""

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from ssl_jax.methods import base
from ssl_jax.objectives import classification

Tree = Any


@flax.struct.dataclass
class ProbeState:
  params: dict[str, jax.Array]  # kernel f32 [D, C], bias f32 [C]
  opt_state: Tree


@dataclasses.dataclass(frozen=True)
class OnlineProbe:
  """Softmax regression on the training batch's own features, by Adam."""
  num_classes: int
  learning_rate: float = 1e-3

  @property
  def _tx(self) -> optax.GradientTransformation:
    return optax.adam(self.learning_rate)

  def init(self, method: base.Method, variables: base.Variables,
           image_shape: tuple[int, int, int]) -> ProbeState:
    """Zero weights, sized by the features that `method.loss` returns."""
    def features():
      images = jnp.zeros((2, *image_shape), jnp.uint8)
      views = method.views(jax.random.key(0), images)
      labels = jnp.zeros(2, jnp.int32)
      return method.loss(variables.params, variables, views, labels)[1].features
    dim = jax.eval_shape(features).shape[-1]
    params = {'kernel': jnp.zeros((dim, self.num_classes)),
              'bias': jnp.zeros(self.num_classes)}
    return ProbeState(params, self._tx.init(params))

  def update(self, state: ProbeState, features: jax.Array,
             labels: jax.Array) -> tuple[ProbeState, jax.Array]:
    """One step on features [B*V, D] of labels [B]; returns top-1 before it.

    Rows whose label is -1 do not count.
    """
    features = jax.lax.stop_gradient(features).astype(jnp.float32)
    labels = jnp.repeat(labels, features.shape[0] // labels.shape[0])

    def loss(params):
      logits = features @ params['kernel'] + params['bias'][None]
      return classification.softmax_cross_entropy(logits, labels), logits

    (_, logits), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, opt_state = self._tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return ProbeState(params, opt_state), classification.accuracy(logits, labels)
