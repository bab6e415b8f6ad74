"""Computes InfoNCE of queries and keys that come from different networks or memories.

A query is classified among keys, of which one belongs to the same image (van den Oord
et al. 2018, arXiv:1807.03748). Rows 2i and 2i+1 are the two views of image i. NT-Xent,
in which all views are queries and keys, is in objectives/contrastive.py.
"""

import jax
import jax.numpy as jnp

from ssl_jax.objectives import contrastive

Metrics = dict[str, jax.Array]


def across_views(queries: jax.Array, keys: jax.Array,
                 temperature: float) -> tuple[jax.Array, Metrics]:
  """Classifies each query among the keys of the other view of all N images.

  It is half the sum of both calls of `ctr` in Chen et al. 2021, arXiv:2104.02057,
  algorithm 1, without its factor 2 tau. If all keys are equal, the loss is log N.

  Args:
    queries: [2N, D] of any float type; they are scaled to unit length.
    keys: [2N, D], likewise.
    temperature: positive; similarities are divided by it.

  Returns:
    The mean cross-entropy, a float32 scalar, and the metrics of `_classify`.
  """
  q, k = (jnp.unstack(contrastive.pairs(contrastive.unit(x)), axis=1)
          for x in (queries, keys))
  logits = jnp.stack([contrastive.logits_of(q[0], k[1], temperature),
                      contrastive.logits_of(q[1], k[0], temperature)])
  image = jnp.arange(logits.shape[1])[None, :, None]
  return _classify(logits, jnp.broadcast_to(image, (*logits.shape[:2], 1)))


def against_queue(queries: jax.Array, keys: jax.Array, queue: jax.Array,
                  temperature: float) -> tuple[jax.Array, Metrics]:
  """Classifies each query among the key of its other view and the K keys of a queue.

  It is the loss of He et al. 2020, arXiv:1911.05722, equation 1, with both views as
  queries. If all keys are equal, the loss is log(K + 1).

  Args:
    queries: [2N, D] of any float type; they are scaled to unit length.
    keys: [2N, D], likewise.
    queue: keys of earlier images, float32 [K, D] of unit length.
    temperature: positive; similarities are divided by it.

  Returns:
    The mean cross-entropy, a float32 scalar, and the metrics of `_classify`.
  """
  q, k = (contrastive.unit(x) for x in (queries, keys))
  other = contrastive.pairs(k)[:, ::-1].reshape(k.shape)
  positive = (q * other).sum(-1, keepdims=True) / temperature
  negative = contrastive.logits_of(q, queue, temperature)
  logits = jnp.concatenate([positive, negative], axis=1)
  return _classify(logits, jnp.zeros((len(logits), 1), jnp.int32))


def nearest(x: jax.Array, queue: jax.Array) -> jax.Array:
  """Returns for each row of [N, D] the row of a queue with the largest cosine.

  Args:
    x: [N, D] of any float type.
    queue: float32 [K, D], rows of unit length.

  Returns:
    Float32 [N, D], without a gradient.
  """
  similarities = contrastive.logits_of(contrastive.unit(x), queue, 1.)
  return jax.lax.stop_gradient(queue[similarities.argmax(-1)])


def _classify(logits: jax.Array, positive: jax.Array) -> tuple[jax.Array, Metrics]:
  """Returns the mean cross-entropy, and how well queries find their keys.

  Args:
    logits: float32 [..., K].
    positive: the index of the key of the same image, int32 [..., 1].

  Returns:
    A scalar, and the metrics 'contrastive_accuracy' in [0, 1] and
    'contrastive_entropy', the mean entropy of the predictions in nats.
  """
  log_p = jax.nn.log_softmax(logits)
  loss = -jnp.take_along_axis(log_p, positive, axis=-1).mean()
  held = jax.lax.stop_gradient(log_p)
  return loss, {
      'contrastive_accuracy': jnp.mean(held.argmax(-1, keepdims=True) == positive),
      'contrastive_entropy': -(jnp.exp(held) * held).sum(-1).mean()}
