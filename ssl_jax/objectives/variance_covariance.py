"""The objective of VICReg (Bardes et al. 2021, arXiv:2105.04906).

The published weights belong to the scales of the paper's code, which this file follows:
the distance is a mean over features and not a sum, and the variance term is a mean over
both views and not their sum.
"""

import jax
import jax.numpy as jnp

EPSILON = 1e-4  # of a variance, as in the paper, section 4.1


def distance(z: jax.Array) -> jax.Array:
  """Computes the mean squared difference of two views, the invariance term.

  Args:
    z: projections, [2N, D] of any float type; rows 2i and 2i+1 are views of image i.

  Returns:
    A float32 scalar.
  """
  a, b = _views(z)
  return jnp.square(a - b).mean()


def variance(z: jax.Array) -> jax.Array:
  """Computes by how much standard deviations of features over the batch are below 1.

  Args:
    z: projections, [2N, D] of any float type.

  Returns:
    The mean over features and views, a float32 scalar in [0, 1].
  """
  deviation = jnp.sqrt(_views(z).var(1, ddof=1) + EPSILON)
  return jnp.maximum(0, 1 - deviation).mean()


def covariance(z: jax.Array) -> jax.Array:
  """Computes the squared covariances of different features of one view.

  Args:
    z: projections, [2N, D] of any float type.

  Returns:
    The sum over both views and all pairs of features, divided by D, a float32 scalar.
  """
  views = _views(z)
  centred = views - views.mean(1, keepdims=True)
  matrices = jnp.einsum('vni,vnj->vij', centred, centred,
                        precision=jax.lax.Precision.HIGHEST) / (views.shape[1] - 1)
  diagonals = jnp.diagonal(matrices, axis1=1, axis2=2)
  return (jnp.square(matrices).sum() - jnp.square(diagonals).sum()) / z.shape[-1]


def _views(z: jax.Array) -> jax.Array:
  """Returns float32 [2, N, D], one matrix for each view."""
  return jnp.moveaxis(z.astype(jnp.float32).reshape(-1, 2, z.shape[-1]), 1, 0)
