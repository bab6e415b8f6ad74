"""Resizing, shifting and blurring as two small matrix products.

Along one axis each of these is linear, and its matrix can be computed from
traced numbers. That keeps shapes static, needs no gather under `vmap`, and runs
where accelerators are fast.
"""

import jax
import jax.numpy as jnp

from ssl_jax import errors


def separable(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """Applies `rows` [h, H] and `columns` [w, W] to an image [H, W, C].

  Returns float32 [h, w, C].
  """
  # Default precision would round pixels to bfloat16 on a TPU: one grey level.
  image = jnp.einsum('hwc,jw->hcj', image, columns, precision='highest')
  return jnp.einsum('ih,hcj->ijc', rows, image, precision='highest')


def _triangle(x: jax.Array) -> jax.Array:
  return jnp.maximum(1 - jnp.abs(x), 0)


def _keys(x: jax.Array) -> jax.Array:
  """Cubic convolution with a = -1/2 (Keys 1981)."""
  x = jnp.abs(x)
  near = (1.5 * x - 2.5) * x * x + 1
  far = ((-0.5 * x + 2.5) * x - 4) * x + 2
  return jnp.where(x < 1, near, jnp.where(x < 2, far, 0.))


KERNELS = {'bilinear': _triangle, 'bicubic': _keys}


def resize_weights(length: int, start: jax.typing.ArrayLike,
                   extent: jax.typing.ArrayLike, size: int,
                   method: str = 'bicubic', antialias: bool = False) -> jax.Array:
  """The matrix that resamples pixels [start, start + extent) of an axis.

  Pixel centres are at half-integers. Pixels outside the interval do not count,
  and the weights of the others are renormalised: the result equals resizing the
  crop alone, as `tf.image.resize` does (and PIL, where `antialias`).

  Args:
    length: pixels along the axis.
    start: first pixel of the crop; may be traced.
    extent: pixels of the crop, at least 1; may be traced.
    size: pixels to produce.
    method: 'bilinear' or 'bicubic'.
    antialias: widen the kernel where the crop shrinks.

  Returns:
    float32 [size, length]; rows sum to one.

  Raises:
    errors.UserError: an unknown `method`.
  """
  kernel = errors.lookup('config.augment.method', method, KERNELS)
  step = jnp.asarray(extent, jnp.float32) / size
  position = start + (jnp.arange(size) + 0.5) * step - 0.5
  pixel = jnp.arange(length)[None, :]
  distance = position[:, None] - pixel
  weights = kernel(distance / jnp.maximum(step, 1) if antialias else distance)
  inside = (pixel >= start) & (pixel < start + extent)
  weights = jnp.where(inside, weights, 0)
  return weights / weights.sum(axis=1, keepdims=True)


def shift_weights(length: int, shift: jax.typing.ArrayLike) -> jax.Array:
  """[length, length] that moves pixels by `shift` towards 0, zeros following."""
  i = jnp.arange(length)
  return (i[:, None] + shift == i[None, :]).astype(jnp.float32)


def gaussian_weights(length: int, sigma: jax.typing.ArrayLike,
                     radius: int) -> jax.Array:
  """[length, length] that blurs with 2 * radius + 1 taps, zeros outside."""
  taps = jnp.exp(-jnp.arange(-radius, radius + 1) ** 2 / (2 * sigma ** 2))
  i = jnp.arange(length)
  offset = i[:, None] - i[None, :]
  weights = jnp.exp(-offset ** 2 / (2 * sigma ** 2)) / taps.sum()
  return jnp.where(jnp.abs(offset) <= radius, weights, 0)
