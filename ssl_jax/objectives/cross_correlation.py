"""The objective of Barlow Twins (arXiv:2103.03230, equations 1 and 2)."""

import jax
import jax.numpy as jnp

EPSILON = 1e-5  # of a variance, as in the paper's code


def barlow_twins(z: jax.Array, redundancy_weight: float) -> jax.Array:
  """Computes the loss from the correlations of the features of two views.

  C_ij is the correlation, over the batch, of feature i of one view and feature j of the
  other view. The loss is sum_i (1 - C_ii)^2 + redundancy_weight sum_{i != j} C_ij^2.

  Args:
    z: projections [2N, D]; rows 2i and 2i + 1 are the two views of image i.
    redundancy_weight: lambda of the paper.

  Returns:
    A float32 scalar.
  """
  a, b = jnp.moveaxis(z.astype(jnp.float32).reshape(-1, 2, z.shape[-1]), 1, 0)
  correlations = jnp.einsum('ni,nj->ij', _standardize(a), _standardize(b),
                            precision=jax.lax.Precision.HIGHEST) / len(a)
  agreement = jnp.diagonal(correlations)
  invariance = ((1. - agreement)**2).sum()
  redundancy = (correlations**2).sum() - (agreement**2).sum()
  return invariance + redundancy_weight * redundancy


def _standardize(x: jax.Array) -> jax.Array:
  """Scales each column to mean 0 and variance 1 over the batch."""
  centred = x - x.mean(0, keepdims=True)
  return centred * jax.lax.rsqrt((centred**2).mean(0, keepdims=True) + EPSILON)
