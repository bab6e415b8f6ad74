"""Alternatives to NT-Xent that compare one positive with one negative at a time.

They are those of Chen et al. 2020, arXiv:2002.05709, table 2, as losses to minimise,
averaged over views and over their negatives. With semi-hard negatives, only one
negative of a view counts: the most similar one of those that are less similar than its
positive (section 5.1). A view without such a negative has the loss of no negative.
"""

import jax
import jax.numpy as jnp

from ssl_jax.objectives import contrastive


def nt_logistic(z: jax.Array, temperature: float, *, similarity: str = 'cosine',
                semi_hard: bool = False) -> jax.Array:
  """Computes -log sigmoid(s+ / tau) - log sigmoid(-s- / tau), a float32 scalar.

  Args:
    z: embeddings, [2N, D] of any float type; rows 2i and 2i+1 are views of image i.
    temperature: tau, positive; similarities are divided by it.
    similarity: a key of `contrastive.SIMILARITIES`.
    semi_hard: whether only semi-hard negatives count.

  Raises:
    errors.UserError: `temperature` or `similarity` is not accepted.
  """
  contrastive.check_temperature(temperature)
  positive, similarities, weights = _compare(z, similarity, semi_hard)
  attract = jax.nn.softplus(-positive / temperature).mean()
  repel = (weights * jax.nn.softplus(similarities / temperature)).sum(-1).mean()
  return attract + repel


def margin_triplet(z: jax.Array, margin: float, *, similarity: str = 'cosine',
                   semi_hard: bool = False) -> jax.Array:
  """Computes max(s- - s+ + m, 0), a float32 scalar.

  Args:
    z: embeddings, [2N, D] of any float type; rows 2i and 2i+1 are views of image i.
    margin: m, by which a positive should be more similar than a negative.
    similarity: a key of `contrastive.SIMILARITIES`.
    semi_hard: whether only semi-hard negatives count.

  Raises:
    errors.UserError: `similarity` is not accepted.
  """
  positive, similarities, weights = _compare(z, similarity, semi_hard)
  excess = jnp.maximum(similarities - positive + margin, 0)
  return (weights * excess).sum(-1).mean()


def _compare(z: jax.Array, similarity: str, semi_hard: bool
             ) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns similarities of each view with its positive and with all views.

  Returns:
    Float32 [2N, 1] and [2N, 2N]; and the weights of the latter, [2N, 2N], which are 0
    for the views of the same image.
  """
  z = contrastive.embed(z, similarity)
  similarities = contrastive.logits_of(z, z, 1.)
  first, second = jnp.unstack(contrastive.pairs(z), axis=1)
  positive = jnp.repeat((first * second).sum(-1), 2)[:, None]
  image = jnp.arange(len(z)) // 2
  negative = image[:, None] != image[None]
  if not semi_hard:
    return positive, similarities, negative / (len(z) - 2)
  candidates = jnp.where(negative & (similarities < positive), similarities, -jnp.inf)
  hardest = candidates.argmax(-1, keepdims=True) == jnp.arange(len(z))[None]
  return positive, similarities, (hardest & (candidates > -jnp.inf)).astype(jnp.float32)
