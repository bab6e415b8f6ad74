"""Normalises a batch by its own moments, with a gradient that reads it twice.

Memory bandwidth is what BatchNorm costs on a GPU. Automatic differentiation reads
the activations of a layer three to four times on the way back, because it sums the
two terms of the gradient one after the other. Here one pass computes both sums, and
one pass the gradient (Ioffe & Szegedy 2015, arXiv:1502.03167, section 3, simplified).
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax.parallel import mesh as mesh_lib

EPSILON = 1e-5
_POSITIONS = 128  # that one partial sum has at least


def normalize(x: jax.Array, mean: jax.Array, var: jax.Array, scale: jax.Array | None,
              bias: jax.Array | None) -> jax.Array:
  """Returns (x - mean) / sqrt(var + 1e-5) * scale + bias, float32 like x.

  Args:
    x: activations [..., C].
    mean: float32 [C], or of as many axes as x.
    var: float32, of the shape of the mean.
    scale: float32 [C]; None is a scale of 1.
    bias: float32 [C]; None is a bias of 0.
  """
  factor = jax.lax.rsqrt(_along(var, x) + EPSILON)
  if scale is not None:
    factor *= _along(scale, x)
  y = (_at_least_float32(x) - _along(mean, x)) * factor
  return y if bias is None else y + _along(bias, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def normalize_by_moments(x: jax.Array, scale: jax.Array | None, bias: jax.Array | None,
                         axes: Sequence[int], dtype: Any
                         ) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Normalises x over `axes` by its own mean and biased variance.

  No gradient flows through the two moments that are returned: they are for running
  statistics.

  Args:
    x: activations [..., C]; the axis before the reduced ones, if any, is groups.
    scale: float32 [C]; None is a scale of 1.
    bias: float32 [C]; None is a bias of 0.
    axes: consecutive axes that end before the channels; the first is that of images.
    dtype: dtype of the result.

  Returns:
    The result like x in `dtype`, and mean and variance, float32 with the reduced axes
    kept as 1.
  """
  return _forward(x, scale, bias, axes, dtype)[0]


def _forward(x, scale, bias, axes, dtype):
  mean, var = _moments(x, axes)
  y = normalize(x, mean, var, scale, bias).astype(dtype)
  return (y, mean, var), (x, mean, var, scale, bias)


def _backward(axes, dtype, residuals, cotangents):
  """With r = 1 / sqrt(var + eps) and z = (x - mean) r, for the gradient g of y:

  dbias = sum g, dscale = sum g z, dx = scale r (g - dbias / n - z dscale / n).
  """
  del dtype
  x, mean, var, scale, bias = residuals
  g, rstd = _at_least_float32(cotangents[0]), jax.lax.rsqrt(var + EPSILON)
  z = (_at_least_float32(x) - mean) * rstd
  sum_g, sum_gz = _sums(g, g * z, axes)
  n = math.prod(x.shape[axis] for axis in axes)
  factor = rstd if scale is None else rstd * _along(scale, x)
  dx = factor * (g - sum_g / n - z * (sum_gz / n))
  over_groups = lambda total: total.reshape(-1, x.shape[-1]).sum(0)
  return (dx.astype(x.dtype), None if scale is None else over_groups(sum_gz),
          None if bias is None else over_groups(sum_g))


normalize_by_moments.defvjp(_forward, _backward)


def _moments(x: jax.Array, axes: Sequence[int]) -> tuple[jax.Array, jax.Array]:
  """Returns mean and biased variance, float32.

  E[x^2] - E[x]^2 needs one pass over the activations, and one message between
  devices, but cancels: its relative error is about 2^-24 (1 + mean^2/var). Rounding
  x to bfloat16 has already cost more than that, so there it is free; float32 takes
  the second pass.
  """
  once, n = jnp.finfo(x.dtype).bits < 32, math.prod(x.shape[axis] for axis in axes)
  x = _at_least_float32(x)
  if once:
    total, squares = _sums(x, jnp.square(x), axes)
    mean = total / n
    return mean, jnp.maximum(squares / n - jnp.square(mean), 0)
  mean = x.mean(axes, keepdims=True)
  return mean, jnp.square(x - mean).mean(axes, keepdims=True)


def _sums(a: jax.Array, b: jax.Array, axes: Sequence[int]
          ) -> tuple[jax.Array, jax.Array]:
  """Returns the sums of two arrays of one shape over `axes`, which stay as 1.

  Both are summed by image first and then over the images, as one array. Left to
  itself XLA:GPU adds up the partial sums of each array in a kernel of its own, and on
  several devices in three.
  """
  images, *space = axes
  kept = [1 if axis in axes else size for axis, size in enumerate(a.shape)]
  if space:
    together = _images_per_sum(a, axes)
    rows = (*a.shape[:images], a.shape[images] // together, -1, a.shape[-1])
    a, b = (x.reshape(rows).sum(images + 1) if together > 1 else x.sum(tuple(space))
            for x in (a, b))
  both = jnp.stack([a, b]).sum(images + 1)
  return both[0].reshape(kept), both[1].reshape(kept)


def _images_per_sum(x: jax.Array, axes: Sequence[int]) -> int:
  """Returns how many images to sum together, so that partial sums are few.

  All of them belong to one device and to one group.
  """
  images, *space = axes
  positions = math.prod(x.shape[axis] for axis in space)
  rows = math.prod(x.shape[:images + 1]) // mesh_lib.num_devices()
  most, together = math.gcd(x.shape[images], rows), 1
  while together * positions < _POSITIONS and most % (2 * together) == 0:
    together *= 2
  return together


def _along(values: jax.Array, x: jax.Array) -> jax.Array:
  """Returns values [C] as [1, ..., 1, C], of as many axes as x."""
  return values.reshape((1,) * (x.ndim - values.ndim) + values.shape)


def _at_least_float32(x: jax.Array) -> jax.Array:
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))
