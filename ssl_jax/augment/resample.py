"""Resizes, shifts and blurs images by two small matrix products.

Along one axis each of these operations is linear, and its matrix can be computed from
traced numbers. Shapes stay static, `vmap` needs no gather, and accelerators are fast at
matrix products.
"""

import jax
import jax.numpy as jnp

from ssl_jax import errors


def separable(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
  """Applies one matrix to the rows of an image and one to its columns.

  Args:
    image: float [H, W, C].
    rows: float32 [h, H].
    columns: float32 [w, W].

  Returns:
    float32 [h, w, C].
  """
  # On a TPU the default precision would round pixels to bfloat16, an error of one grey
  # level.
  image = jnp.einsum('hwc,jw->hcj', image, columns, precision='highest')
  return jnp.einsum('ih,hcj->ijc', rows, image, precision='highest')


def _triangle(x: jax.Array) -> jax.Array:
  return jnp.maximum(1 - jnp.abs(x), 0)


def _keys(x: jax.Array) -> jax.Array:
  """Evaluates the cubic convolution kernel with a = -1/2 (Keys 1981)."""
  x = jnp.abs(x)
  near = (1.5 * x - 2.5) * x * x + 1
  far = ((-0.5 * x + 2.5) * x - 4) * x + 2
  return jnp.where(x < 1, near, jnp.where(x < 2, far, 0.))


KERNELS = {'bilinear': _triangle, 'bicubic': _keys}


def resize_weights(length: int, start: jax.typing.ArrayLike,
                   extent: jax.typing.ArrayLike, size: int,
                   method: str = 'bicubic', antialias: bool = False) -> jax.Array:
  """Returns the matrix that resamples pixels [start, start + extent) of an axis.

  Pixel centres are at half-integers. Pixels outside the interval have weight 0, and the
  weights of the others are renormalised. The result therefore equals that of resizing
  the crop alone by `tf.image.resize`, or by PIL with `antialias`.

  Args:
    length: number of pixels along the axis.
    start: first pixel of the crop; may be traced.
    extent: number of pixels of the crop, at least 1; may be traced.
    size: number of pixels to produce.
    method: 'bilinear' or 'bicubic'.
    antialias: whether the kernel is widened when the crop shrinks.

  Returns:
    float32 [size, length]; rows sum to one.

  Raises:
    errors.UserError: the method is not one of these.
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
  """Returns the matrix [length, length] that shifts pixels towards index 0.

  Args:
    length: number of pixels along the axis.
    shift: number of pixels, negative for the other direction; may be traced. Zeros
      replace the pixels that were shifted.
  """
  i = jnp.arange(length)
  return (i[:, None] + shift == i[None, :]).astype(jnp.float32)


def gaussian_weights(length: int, sigma: jax.typing.ArrayLike,
                     radius: int) -> jax.Array:
  """Returns the matrix [length, length] of a Gaussian blur; zeros are outside.

  Args:
    length: number of pixels along the axis.
    sigma: standard deviation in pixels; may be traced.
    radius: radius of the kernel in pixels; it has 2 * radius + 1 taps.
  """
  taps = jnp.exp(-jnp.arange(-radius, radius + 1) ** 2 / (2 * sigma ** 2))
  i = jnp.arange(length)
  offset = i[:, None] - i[None, :]
  weights = jnp.exp(-offset ** 2 / (2 * sigma ** 2)) / taps.sum()
  return jnp.where(jnp.abs(offset) <= radius, weights, 0)
