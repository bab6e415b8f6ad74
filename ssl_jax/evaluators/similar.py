"""Finds near-duplicates and outliers among vectors, by their cosine similarity.

Both are exact: every vector is compared with every other one, block by block on the
device, so that no N x N matrix is stored.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax import errors

_BLOCK = 1024  # vectors that are compared with all others at once


class Pairs(NamedTuple):
  """Pairs of similar images, the most similar ones first.

  Attributes:
    first: int [n], index of an image.
    second: int [n], index of a later image.
    similarity: float32 [n], the cosine of their vectors.
  """

  first: np.ndarray
  second: np.ndarray
  similarity: np.ndarray


def near_duplicates(features: np.ndarray, least: float) -> Pairs:
  """Finds all pairs of vectors whose cosine is at least `least`.

  Args:
    features: float32 [N, D].
    least: the smallest cosine, above 0 and up to 1.

  Raises:
    errors.UserError: `least` is out of range, or a vector is zero.
  """
  if not 0 < least <= 1:
    raise errors.UserError(f'--near_duplicates={least} is not a cosine above 0 and up '
                           'to 1; 0.98 suits most encoders')
  units = _units(features)
  firsts, seconds, cosines = [], [], []
  for start in range(0, len(units), _BLOCK):
    similarity = np.asarray(_compare(units[start:start + _BLOCK], units))
    first, second = np.nonzero(similarity >= least)
    later = second > first + start
    firsts.append(first[later] + start)
    seconds.append(second[later])
    cosines.append(similarity[first[later], second[later]])
  found = Pairs(*map(np.concatenate, (firsts, seconds, cosines)))
  order = np.argsort(-found.similarity, kind='stable')
  return Pairs(*(x[order] for x in found))


def outliers(features: np.ndarray, number: int,
             neighbours: int = 5) -> tuple[np.ndarray, np.ndarray]:
  """Finds the vectors that are least similar to their nearest neighbours.

  Args:
    features: float32 [N, D].
    number: number of outliers to return; all vectors if there are fewer.
    neighbours: number of nearest neighbours, whose cosines are averaged; all other
      vectors if there are fewer.

  Returns:
    The indices of the outliers, int [n], the most unusual one first, and their mean
    cosine, float32 [n].

  Raises:
    errors.UserError: `number` is not positive, there is one vector alone, or a vector
      is zero.
  """
  if number < 1:
    raise errors.UserError(f'--outliers={number} is not a number of images; use at '
                           'least 1')
  if len(features) < 2:
    raise errors.UserError('--outliers compares images with each other, but only '
                           f'{len(features)} has a vector; give more images')
  units, k = _units(features), min(neighbours, len(features) - 1)
  means = np.concatenate([
      np.asarray(_mean_of_nearest(units[start:start + _BLOCK], units, start, k))
      for start in range(0, len(units), _BLOCK)])
  chosen = np.argsort(means, kind='stable')[:number]
  return chosen, means[chosen]


def _units(features: np.ndarray) -> jax.Array:
  """Returns vectors of length 1 on the device."""
  lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
  if not lengths.all():
    raise errors.UserError(
        f'the vector of image {int(np.argmin(lengths))} is zero and has no cosine '
        'similarity; give another --endpoint')
  return jnp.asarray((features / lengths).astype(np.float32))


@jax.jit
def _compare(block: jax.Array, units: jax.Array) -> jax.Array:
  # The highest precision: a GPU would round to ten bits, and 0.98 needs more.
  return jnp.matmul(block, units.T, precision=jax.lax.Precision.HIGHEST)


@functools.partial(jax.jit, static_argnums=3)
def _mean_of_nearest(block: jax.Array, units: jax.Array, start: jax.Array,
                     k: int) -> jax.Array:
  """Returns the mean cosine of each vector and its k neighbours, without itself."""
  own = start + jnp.arange(len(block))[:, None] == jnp.arange(len(units))[None]
  return jax.lax.top_k(jnp.where(own, -2., _compare(block, units)), k)[0].mean(1)
