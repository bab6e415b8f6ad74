"""The objective of SwAV (Caron et al. 2020, arXiv:2006.09882, section 3)."""

import jax
import jax.numpy as jnp


def sinkhorn(scores: jax.Array, epsilon: float, iterations: int,
             weights: jax.Array | None = None) -> jax.Array:
  """Computes codes: soft assignments that use all prototypes equally.

  They are the solution of equation 3 after some iterations of Sinkhorn and Knopp. The
  sums are over the global batch.

  Args:
    scores: similarities of N embeddings with K prototypes, [N, K] of any float type.
    epsilon: weight of the entropy of the assignment; positive.
    iterations: number of normalisations of prototypes and of embeddings.
    weights: float32 [N], 1 for embeddings that count and 0 for others; None counts all.

  Returns:
    Float32 [N, K] without a gradient; each row that counts adds up to 1.
  """
  scores = jax.lax.stop_gradient(scores.astype(jnp.float32)) / epsilon
  q = jnp.exp(scores - scores.max())
  if weights is not None:
    q = q * weights[:, None]
  tiny = jnp.finfo(jnp.float32).tiny
  for _ in range(iterations):
    q = q / jnp.maximum(q.sum(0, keepdims=True), tiny)  # each prototype has the same
    q = q / jnp.maximum(q.sum(1, keepdims=True), tiny)  # each embedding has one code
  return q


def cross_entropy(codes: jax.Array, scores: jax.Array, temperature: float) -> jax.Array:
  """Computes the mean cross-entropy of predictions with codes (equation 2).

  Args:
    codes: float32 [N, K], rows that add up to 1.
    scores: similarities with the prototypes of another view, [N, K].
    temperature: tau; scores are divided by it.

  Returns:
    A float32 scalar.
  """
  log_p = jax.nn.log_softmax(scores.astype(jnp.float32) / temperature)
  return -(codes * log_p).sum(-1).mean()
