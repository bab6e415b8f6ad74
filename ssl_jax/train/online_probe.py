"""Trains a linear classifier on the features while the encoder is being trained.

The classifier has its own parameters and optimizer, and no gradient flows from it to
the encoder. Training with and without it is bit-identical.
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
  """Holds the parameters and the optimizer state of an online probe."""
  params: dict[str, jax.Array]  # kernel float32 [D, C], bias float32 [C]
  opt_state: Tree


@dataclasses.dataclass(frozen=True)
class OnlineProbe:
  """Trains softmax regression by Adam on the features of the training batches.

  Attributes:
    num_classes: number of classes of the labels, C.
    endpoint: name of the endpoint that is classified.
    pool: how a feature map becomes a vector; see `models.pooling.pooled`.
    learning_rate: learning rate of Adam, which is constant.
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
    """Returns the initial state, in which all weights are zero.

    Args:
      method: encodes the images.
      variables: the variables of `method`; only their shapes are used.
      image_shape: [H, W, C] of the images.

    Raises:
      errors.UserError: the encoder has no endpoint of the name `endpoint`.
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
    """Updates the classifier once from one batch of B images and V views of each.

    Args:
      state: the state before the update.
      endpoints: arrays [B * V, ...] by name; the views of an image are adjacent.
      labels: int32 [B]; images with the label -1 are not used.

    Returns:
      The new state, and the top-1 accuracy before the update, float32 scalar.
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
