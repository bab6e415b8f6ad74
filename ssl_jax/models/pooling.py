"""Pools feature maps to vectors."""

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax import errors


def pooled(x: jax.Array, pool: str | int) -> jax.Array:
  """Converts an endpoint to vectors, float32 [B, D].

  Args:
    x: vectors [B, D], of which only the dtype is changed, or a feature map
      [B, H, W, C].
    pool: 'mean' or 'max' over the positions, 'flatten' in the order H, W, C, or an
      integer s: the averages over s x s regions of (almost) equal size, flattened.

  Raises:
    errors.UserError: `pool` is unknown, or the map has fewer positions than regions.
  """
  regions = isinstance(pool, int) and not isinstance(pool, bool) and pool > 0
  if not regions and pool not in ('mean', 'max', 'flatten'):
    raise errors.UserError(
        f"pool is {pool!r}; accepted are 'mean', 'max', 'flatten' or a number of "
        'regions per side')
  x = x.astype(jnp.float32)
  if x.ndim == 2:
    return x
  if pool == 'mean':
    return x.mean((1, 2))
  if pool == 'max':
    return x.max((1, 2))
  if regions:
    height, width = x.shape[1:3]
    if pool > min(height, width):
      raise errors.UserError(
          f'pool is {pool}, but the feature map has {height} x {width} positions; '
          f'use at most {min(height, width)}')
    x = jnp.einsum('sh,bhwc,tw->bstc', _regions(height, pool), x,
                   _regions(width, pool), precision=jax.lax.Precision.HIGHEST)
  return x.reshape(x.shape[0], -1)


def _regions(size: int, count: int) -> np.ndarray:
  """Returns the weights of averages over regions, float32 [count, size].

  Region i of c = `count` spans floor(i s/c) to ceil((i + 1) s/c), where s = `size`.
  """
  i, position = np.arange(count)[:, None], np.arange(size)[None]
  inside = (position >= i * size // count) & (position < -(-(i + 1) * size // count))
  return (inside / inside.sum(1, keepdims=True)).astype(np.float32)
