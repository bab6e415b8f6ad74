"""Computes the Euclidean norms of many arrays in few kernels."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

Tree = Any
_CHUNK = 256  # the sums of one array are padded to a multiple of this number


def sums_of_squares(arrays: Sequence[jax.Array]) -> jax.Array:
  """Returns the sum of squares of each array, float32 [len(arrays)].

  Each array is first summed along its last axis, without a copy of the array. The
  partial sums of all arrays are then concatenated, in chunks that each belong to one
  array, and summed together. This takes one small kernel for all arrays, whereas
  `jnp.linalg.norm` takes two for each array.
  """
  parts = [_along_the_last_axis(x) for x in arrays]
  padded = [jnp.pad(part, (0, -part.size % _CHUNK)) for part in parts]
  chunks = jnp.concatenate(padded).reshape(-1, _CHUNK).sum(1)
  owner = np.repeat(np.arange(len(parts)), [part.size // _CHUNK for part in padded])
  belongs = owner[None, :] == np.arange(len(parts))[:, None]
  return jnp.where(belongs, chunks[None, :], 0).sum(1)


def global_norm(tree: Tree) -> jax.Array:
  """Returns the norm of all arrays of a tree together, float32 scalar."""
  return jnp.sqrt(sums_of_squares(jax.tree.leaves(tree)).sum())


def scale_by_trust_ratio(trust_coefficient: float) -> optax.GradientTransformation:
  """Scales each update by `trust_coefficient` |parameter| / |update|, as LARS does.

  The result and the state are those of `optax.scale_by_trust_ratio`. If one of the
  norms is 0, the update is not scaled (You et al. 2017, arXiv:1708.03888, section 4).
  """
  def update(updates, state, params):
    arrays, structure = jax.tree.flatten(updates)
    if not arrays:
      return updates, state
    norms = jnp.sqrt(sums_of_squares([*jax.tree.leaves(params), *arrays]))
    of_params, of_updates = jnp.split(norms, 2)
    zero = (of_params == 0) | (of_updates == 0)
    ratios = jnp.where(
        zero, 1, trust_coefficient * of_params / jnp.where(zero, 1, of_updates))
    scaled = [x * ratios[i].astype(x.dtype) for i, x in enumerate(arrays)]
    return jax.tree.unflatten(structure, scaled), state

  return optax.GradientTransformation(
      lambda params: optax.ScaleByTrustRatioState(), update)


def _along_the_last_axis(x: jax.Array) -> jax.Array:
  """Returns sums of squares, float32 [n]; for a vector, the squares themselves."""
  squares = jnp.square(x.astype(jnp.float32))
  if x.ndim < 2:
    return squares.reshape(-1)
  return squares.reshape(math.prod(x.shape[:-1]), x.shape[-1]).sum(1)
