"""Blurs images, finds edges and adds noise. Images are float32 [H, W, C] in [0, 1]."""

import jax
import jax.numpy as jnp

from ssl_jax.augment import resample


def blur_radius(height: int) -> int:
  """Returns the radius in pixels of the blur kernel of google's SimCLR.

  The diameter is a tenth of the height. Below 20 px the radius is 0, which is no blur.
  """
  return height // 10 // 2


def gaussian_blur(image: jax.Array, sigma: jax.typing.ArrayLike,
                  radius: int) -> jax.Array:
  """Blurs with a Gaussian kernel of 2 * radius + 1 taps per axis.

  Pixels outside the image count as zeros, which darkens the borders, as in google's
  SimCLR. PIL and torchvision extend or reflect the image instead.

  Args:
    image: float32 [H, W, C].
    sigma: standard deviation in pixels; may be traced.
    radius: radius of the kernel in pixels; 0 returns the image.
  """
  if radius == 0:
    return image
  rows = resample.gaussian_weights(image.shape[0], sigma, radius)
  columns = resample.gaussian_weights(image.shape[1], sigma, radius)
  return resample.separable(image, rows, columns)


def sobel(image: jax.Array) -> jax.Array:
  """Returns the gradient magnitude of every channel, clipped to [0, 1].

  An edge from 0 to 1 has magnitude 1. Borders are reflected without repeating the edge
  (as in `tf.image.sobel_edges`).
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
  """Adds independent Gaussian noise to every value and clips to [0, 1].

  Args:
    key: a PRNG key.
    image: float32 [H, W, C].
    std: standard deviation of the noise.
  """
  noise = std * jax.random.normal(key, image.shape, image.dtype)
  return jnp.clip(image + noise, 0, 1)
