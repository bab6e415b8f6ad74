"""Filters: blur, edges, noise. Images are float32 [H, W, C] in [0, 1]."""

import jax
import jax.numpy as jnp

from ssl_jax.augment import resample


def blur_radius(height: int) -> int:
  """Returns the radius of google's SimCLR kernel, a tenth of the height in pixels.

  Below 20 px it is 0, which is no blur.
  """
  return height // 10 // 2


def gaussian_blur(image: jax.Array, sigma: jax.typing.ArrayLike,
                  radius: int) -> jax.Array:
  """Blurs with 2 * radius + 1 taps per axis; outside the image is black.

  Zero padding darkens the borders, as in google's SimCLR; PIL and torchvision
  extend or reflect the image instead. `sigma` is in pixels and may be traced;
  radius 0 returns the image.
  """
  if radius == 0:
    return image
  rows = resample.gaussian_weights(image.shape[0], sigma, radius)
  columns = resample.gaussian_weights(image.shape[1], sigma, radius)
  return resample.separable(image, rows, columns)


def sobel(image: jax.Array) -> jax.Array:
  """Gradient magnitude of every channel, a full step being 1; clipped to [0, 1].

  Borders are reflected without repeating the edge (`tf.image.sobel_edges`).
  """
  height, width = image.shape[:2]
  padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode='reflect')
  def smooth_and_differ(x, axis, size):
    a, b, c = (jax.lax.slice_in_dim(x, k, k + size, axis=axis) for k in range(3))
    return (a + 2 * b + c) / 4, c - a
  smooth, differ = smooth_and_differ(padded, 0, height)
  dx = smooth_and_differ(smooth, 1, width)[1]
  dy = smooth_and_differ(differ, 1, width)[0]
  return jnp.clip(jnp.sqrt(dx * dx + dy * dy), 0, 1)


def add_noise(key: jax.Array, image: jax.Array, std: float) -> jax.Array:
  """Adds independent Gaussian noise to every value and clips to [0, 1]."""
  noise = std * jax.random.normal(key, image.shape, image.dtype)
  return jnp.clip(image + noise, 0, 1)
