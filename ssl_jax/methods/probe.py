"""The linear probe of the papers: a frozen encoder, a linear head, crop and flip.

Chen et al. 2020, arXiv:2002.05709, section 3: "a linear classifier is trained
on top of the frozen base network".
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax.augment import policies
from ssl_jax.methods import base
from ssl_jax.models import pooling
from ssl_jax.objectives import classification


@dataclasses.dataclass(frozen=True)
class LinearProbe:
  """Trains `head` on one endpoint of an encoder whose variables lie in `slow`.

  Frozen by construction: the encoder is not among the parameters, so it gets no
  gradient and no optimizer state, and it runs in evaluation mode, so its batch
  statistics stay. `init` draws an encoder at random; a caller puts the trained
  one in its place (`loop.Run.warm_start`).
  """
  pretrained: base.Base
  head: nn.Module                  # float32 [B, D] -> logits [B, C]
  policy: policies.Policy
  endpoint: str = 'pooled'
  pool: str | int = 'mean'         # see models.pooling

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    encoder = self.pretrained.encoder(self.pretrained.init(key, image_shape))
    images = jnp.zeros((1, *image_shape), jnp.uint8)
    features = jax.eval_shape(self._features, encoder, self.views(key, images))
    params = self.head.init(key, jnp.zeros(features.shape, features.dtype))['params']
    return base.Variables(params, model_state={}, slow=encoder)

  def views(self, key: jax.Array, images: jax.Array) -> jax.Array:
    return policies.views((self.policy,), key, images, self.pretrained.dtype)

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.Aux]:
    features = self._features(variables.slow, views)
    logits = self.head.apply({'params': params}, features)
    metrics = {'accuracy': classification.accuracy(logits, labels)}
    loss = classification.softmax_cross_entropy(logits, labels)
    return loss, base.Aux({}, metrics, features)

  def after_update(self, variables: base.Variables, step: jax.Array) -> base.Variables:
    del step
    return variables

  def encoder(self, variables: base.Variables) -> base.Tree:
    return {'encoder': variables.slow, 'head': variables.params}

  def encode(self, encoder: base.Tree, images: jax.Array) -> dict[str, jax.Array]:
    """The endpoints of the frozen encoder, and the probe's 'logits'."""
    endpoints = self.pretrained.encode(encoder['encoder'], images)
    features = pooling.pooled(endpoints[self.endpoint], self.pool)
    logits = self.head.apply({'params': encoder['head']}, features)
    return endpoints | {'logits': logits}

  def _features(self, encoder, views):
    endpoints = self.pretrained.network.apply(encoder, views, train=False)
    return pooling.pooled(endpoints[self.endpoint], self.pool)
