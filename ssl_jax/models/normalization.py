"""Normalises a batch by its own moments, with a gradient that reads it twice.

On a GPU, memory bandwidth limits the speed of BatchNorm. With automatic
differentiation, the backward pass reads the activations of a layer three to four times,
because it sums the two terms of the gradient one after the other. Here one pass
computes both sums, and one more the gradient (Ioffe & Szegedy 2015, arXiv:1502.03167,
section 3, simplified).
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax.parallel import mesh as mesh_lib

EPSILON = 1e-5
_POSITIONS = 128  # the least number of positions in one partial sum


def normalize(x: jax.Array, mean: jax.Array, var: jax.Array, scale: jax.Array | None,
              bias: jax.Array | None) -> jax.Array:
  """Returns (x - mean) / sqrt(var + 1e-5) * scale + bias, float32 like x.

  Args:
    x: activations [..., C].
    mean: float32 [C], or an array with as many axes as x that broadcasts to x.
    var: float32, with the shape of the mean.
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

  The two moments that are returned have no gradient; they are for running statistics.

  Args:
    x: activations [..., C]. An axis before the reduced axes, if any, is that of groups.
    scale: float32 [C]; None is a scale of 1.
    bias: float32 [C]; None is a bias of 0.
    axes: consecutive axes that end before the channels; the first is that of images.
    dtype: dtype of the normalised activations.

  Returns:
    The normalised activations, of the shape of x, and their mean and variance, float32
    with reduced axes of size 1.
  """
  return _forward(x, scale, bias, axes, dtype)[0]


def _forward(x, scale, bias, axes, dtype):
  mean, var = _moments(x, axes)
  y = normalize(x, mean, var, scale, bias).astype(dtype)
  return (y, mean, var), (x, mean, var, scale, bias)


def _backward(axes, dtype, residuals, cotangents):
  """Computes the gradients by x, scale and bias from the gradient g by the result.

  With r = 1 / sqrt(var + eps) and z = (x - mean) r they are dbias = sum g,
  dscale = sum g z and dx = scale r (g - dbias / n - z dscale / n).
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
  """Returns the mean and the biased variance, float32.

  For bfloat16 the variance is E[x^2] - E[x]^2. It needs one pass over the activations
  and one message between devices. Cancellation gives it a relative error of about
  2^-24 (1 + mean^2/var), which is less than that of rounding x to bfloat16. For float32
  a second pass computes the mean of (x - mean)^2.
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
  """Returns the sums of two arrays of one shape over `axes`, which become of size 1.

  Both are summed within images first, and then, as one array, over images. If each
  array were summed over all axes at once, XLA:GPU would add up the partial sums of each
  in another kernel, and on several devices in three.
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
  """Returns the number of images in a partial sum.

  It is as large as is needed for at least `_POSITIONS` positions, if the images of a
  partial sum can be on one device and in one group.
  """
  images, *space = axes
  positions = math.prod(x.shape[axis] for axis in space)
  rows = math.prod(x.shape[:images + 1]) // mesh_lib.num_devices()
  most, together = math.gcd(x.shape[images], rows), 1
  while together * positions < _POSITIONS and most % (2 * together) == 0:
    together *= 2
  return together


def _along(values: jax.Array, x: jax.Array) -> jax.Array:
  """Reshapes values [C] to [1, ..., 1, C], with as many axes as x."""
  return values.reshape((1,) * (x.ndim - values.ndim) + values.shape)


def _at_least_float32(x: jax.Array) -> jax.Array:
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))
