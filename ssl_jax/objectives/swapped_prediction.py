"""The objective of SwAV (Caron et al. 2020, arXiv:2006.09882, section 3)."""

import jax
import jax.numpy as jnp


def sinkhorn(scores: jax.Array, epsilon: float, iterations: int,
             earlier: jax.Array | None = None,
             weight: jax.Array | float = 1.) -> jax.Array:
  """Computes codes: soft assignments that use all prototypes equally.

  They are the solution of equation 3 after some iterations of Sinkhorn and Knopp. The
  sums are over the global batch.

  Args:
    scores: similarities of N embeddings with K prototypes, [N, K] of any float type.
    epsilon: weight of the entropy of the assignment; positive.
    iterations: number of normalisations of prototypes and of embeddings.
    earlier: similarities of further embeddings, float32 [L, K], which are balanced
      together with the others; None has none.
    weight: 1 if `earlier` counts, and 0 if it does not.

  Returns:
    Float32 [N, K] without a gradient; each row adds up to 1.
  """
  parts = [scores] if earlier is None else [scores, earlier]
  parts = [jax.lax.stop_gradient(x.astype(jnp.float32)) / epsilon for x in parts]
  highest = jnp.stack([x.max() for x in parts]).max()
  # Both parts stay apart: one is divided among devices, and the other may not be.
  parts = [jnp.exp(x - highest) for x in parts]
  weights, tiny = (1., weight), jnp.finfo(jnp.float32).tiny
  for _ in range(iterations):
    total = sum(w * q.sum(0, keepdims=True)
                for q, w in zip(parts, weights, strict=False))
    parts = [q / jnp.maximum(total, tiny) for q in parts]  # of each prototype
    parts = [q / jnp.maximum(q.sum(1, keepdims=True), tiny) for q in parts]
  return parts[0]


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
