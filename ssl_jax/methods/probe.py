"""Probes of the papers: a frozen encoder, a head that is trained, crop and flip.

Chen et al. 2020, arXiv:2002.05709, section 3 ("a linear classifier is trained on
top of the frozen base network"); with other heads and on early feature maps,
Gidaris et al. 2018, arXiv:1803.07728, section 4.1.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.augment import policies
from ssl_jax.methods import base
from ssl_jax.models import pooling
from ssl_jax.objectives import classification


@dataclasses.dataclass(frozen=True)
class Probe:
  """Trains `head` on one endpoint of an encoder whose variables lie in `slow`.

  Frozen by construction: the encoder is not among the parameters, so it gets no
  gradient and no optimizer state, and it runs in evaluation mode, so its batch
  statistics stay. Those of the head are its own and move. `init` draws an encoder
  at random; a caller puts the trained one in its place (`loop.Run.warm_start`).

  Attributes:
    pretrained: the method that the encoder was trained by.
    head: see models.heads; called as `head(features, train=...)`.
    policy: of the views, one per image.
    endpoint: of the encoder, which the head stands on.
    pool: how it becomes a vector, see models.pooling; 'none' leaves it as it is.
  """
  pretrained: base.Base
  head: nn.Module
  policy: policies.Policy
  endpoint: str = 'pooled'
  pool: str | int = 'mean'

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    encoder = self.pretrained.encoder(self.pretrained.init(key, image_shape))
    images = jnp.zeros((1, *image_shape), jnp.uint8)
    features = jax.eval_shape(self._features, encoder, self.views(key, images))
    features = jnp.zeros(features.shape, features.dtype)
    head = self.head.init(key, features, train=False)
    return base.Variables(head['params'], head.get('batch_stats', {}), encoder)

  def views(self, key: jax.Array, images: jax.Array) -> jax.Array:
    return policies.views((self.policy,), key, images, self.pretrained.dtype)

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.Aux]:
    features = self._features(variables.slow, views)
    logits, updated = self.head.apply(
        {'params': params, 'batch_stats': variables.model_state}, features,
        train=True, mutable=['batch_stats'])
    metrics = {'accuracy': classification.accuracy(logits, labels)}
    loss = classification.softmax_cross_entropy(logits, labels)
    return loss, base.Aux(updated.get('batch_stats', {}), metrics,
                          features.reshape(len(features), -1))

  def after_update(self, variables: base.Variables, step: jax.Array) -> base.Variables:
    del step
    return variables

  def encoder(self, variables: base.Variables) -> base.Tree:
    return {'encoder': variables.slow,
            'head': {'params': variables.params, 'batch_stats': variables.model_state}}

  def encode(self, encoder: base.Tree, images: jax.Array) -> dict[str, jax.Array]:
    """The endpoints of the frozen encoder, and the probe's 'logits'."""
    endpoints = self.pretrained.encode(encoder['encoder'], images)
    logits = self.head.apply(encoder['head'], self._pooled(endpoints), train=False)
    return endpoints | {'logits': logits}

  def _features(self, encoder, views):
    return self._pooled(self.pretrained.network.apply(encoder, views, train=False))

  def _pooled(self, endpoints):
    x = errors.choose('config.features.endpoint', self.endpoint, endpoints)
    return x if self.pool == 'none' else pooling.pooled(x, self.pool)
