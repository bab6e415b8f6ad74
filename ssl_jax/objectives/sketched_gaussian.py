"""SIGReg, the regularizer of LeJEPA (Balestriero & LeCun 2025, arXiv:2511.08544)."""

import jax
import jax.numpy as jnp

KNOTS, LIMIT = 17, 5.0  # points of the integral, and its range (algorithm 1)


def directions(key: jax.Array, dim: int, number: int) -> jax.Array:
  """Draws directions that are uniformly distributed, float32 [dim, number].

  Args:
    key: the random key.
    dim: width of the embeddings.
    number: number of directions.
  """
  drawn = jax.random.normal(key, (dim, number))
  return drawn / jnp.linalg.norm(drawn, axis=0, keepdims=True)


def sigreg(z: jax.Array, towards: jax.Array) -> jax.Array:
  """Measures how far embeddings are from an isotropic Gaussian (algorithm 1).

  Along each direction, it is the statistic of Epps and Pulley: N times the integral of
  |phi(t) - exp(-t^2 / 2)|^2 exp(-t^2 / 2) from -5 to 5, where phi is the empirical
  characteristic function of the N projections. The integral is a trapezoidal rule.

  Args:
    z: embeddings, [N, D] of any float type.
    towards: the directions, float32 [D, M], columns of unit length.

  Returns:
    The mean over directions, a float32 scalar.
  """
  t = jnp.linspace(-LIMIT, LIMIT, KNOTS)
  gaussian = jnp.exp(-jnp.square(t) / 2)
  projected = jnp.matmul(z.astype(jnp.float32), towards,
                         precision=jax.lax.Precision.HIGHEST)
  angles = t[:, None, None] * projected[None]  # XLA sums it without writing it
  real, imaginary = jnp.cos(angles).mean(1), jnp.sin(angles).mean(1)
  distance = jnp.square(real - gaussian[:, None]) + jnp.square(imaginary)
  width = jnp.full(KNOTS, 2 * LIMIT / (KNOTS - 1)).at[jnp.array([0, -1])].mul(0.5)
  return len(z) * (width * gaussian * distance.mean(1)).sum()


def invariance(z: jax.Array, views: int) -> jax.Array:
  """Computes the mean squared distance of embeddings from the mean of their image.

  Args:
    z: embeddings, [V N, D] of any float type; row i V + v is view v of image i.
    views: V, the number of views of an image.

  Returns:
    The mean over views and features, a float32 scalar.
  """
  z = z.astype(jnp.float32).reshape(-1, views, z.shape[-1])
  return jnp.square(z - z.mean(1, keepdims=True)).mean()
