"""Draws the boxes of random crops, and resizes a box to a fixed shape.

The samplers of different libraries draw from different distributions, and so are
different augmentations. With the same `area` and `ratio`, the mean area of crops is
0.42 of a 224 px image with TensorFlow's sampler, 0.48 with torchvision's, and 0.53 with
BYOL's.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ssl_jax.augment import resample

# The number of attempts of torchvision. TensorFlow makes up to 100, but with google's
# ranges an attempt fails in fewer than 8 cases of 100 at any image size, so that ten in
# a row practically never fail.
ATTEMPTS = 10


class Box(NamedTuple):
  """A part of an image in whole pixels, as float32 or int scalars."""
  top: jax.typing.ArrayLike
  left: jax.typing.ArrayLike
  height: jax.typing.ArrayLike
  width: jax.typing.ArrayLike


# Maps four uniform numbers to a flag, True if their box is accepted, and the box.
Attempt = Callable[[jax.Array], tuple[jax.Array, Box]]


def crop_and_resize(image: jax.Array, box: Box, size: tuple[int, int],
                    method: str = 'bicubic', antialias: bool = False) -> jax.Array:
  """Resizes a part of an image to a fixed shape.

  Args:
    image: float [H, W, C].
    box: the part of the image.
    size: height h and width w of the result in pixels.
    method: filter of the resizing, 'bilinear' or 'bicubic'. The bicubic filter
      overshoots, so that values may leave [0, 1].
    antialias: whether the filter is widened when the crop shrinks; see
      `resample.resize_weights`.

  Returns:
    float32 [h, w, C].

  Raises:
    errors.UserError: the method is not one of these.
  """
  return resample.separable(
      image, *resize_matrices(image.shape[:2], box, size, method, antialias))


def resize_matrices(shape: tuple[int, int], box: Box, size: tuple[int, int],
                    method: str, antialias: bool) -> tuple[jax.Array, jax.Array]:
  """Returns the matrices by which `crop_and_resize` resamples rows and columns.

  Args:
    shape: height H and width W of the image in pixels.
    box: the part of the image.
    size: height h and width w of the result in pixels.
    method: filter of the resizing, 'bilinear' or 'bicubic'.
    antialias: whether the filter is widened when the crop shrinks.

  Returns:
    float32 [h, H] and [w, W].

  Raises:
    errors.UserError: the method is not one of these.
  """
  return (resample.resize_weights(shape[0], box.top, box.height, size[0], method,
                                  antialias),
          resample.resize_weights(shape[1], box.left, box.width, size[1], method,
                                  antialias))


def tensorflow_box(key: jax.Array, height: jax.typing.ArrayLike,
                   width: jax.typing.ArrayLike, area: tuple[float, float],
                   ratio: tuple[float, float],
                   min_covered: float = 0.1) -> Box:
  """Draws a box as `tf.image.sample_distorted_bounding_box` does, for a whole image.

  Width / height is uniform in `ratio`. The height is then uniform among the integers
  for which the area is within `area`. Crops smaller than `min_covered` are rejected, so
  that google's area (0.08, 1) in fact begins at 0.1. Offsets are uniform, but the last
  possible one is never drawn, so that only crops of full width or height reach the
  right or bottom edge.

  Args:
    key: a PRNG key.
    height: height of the image in pixels; may be traced.
    width: width of the image in pixels; may be traced.
    area: smallest and largest area of the crop, as fractions of the image.
    ratio: smallest and largest width / height.
    min_covered: smallest accepted area, as a fraction of the image.
  """
  height, width = jnp.float32(height), jnp.float32(width)
  least, most = area[0] * height * width, area[1] * height * width

  def attempt(u):
    aspect = ratio[0] + u[0] * (ratio[1] - ratio[0])
    tallest = jnp.minimum(jnp.round(jnp.sqrt(most / aspect)), height)
    tallest = jnp.minimum(tallest, jnp.floor((width + 0.5) / aspect))
    shortest = jnp.minimum(jnp.round(jnp.sqrt(least / aspect)), tallest)
    h = shortest + jnp.floor(u[1] * (tallest - shortest + 1))
    # Rounding may leave the range of areas by a pixel; TensorFlow corrects it once.
    h = jnp.where(h * jnp.round(h * aspect) < least, h + 1, h)
    h = jnp.where(h * jnp.round(h * aspect) > most, h - 1, h)
    w = jnp.round(h * aspect)
    valid = (h > 0) & (w > 0) & (h <= height) & (w <= width) & (h * w <= most)
    valid &= h * w >= jnp.maximum(least, min_covered * height * width)
    return valid, Box(jnp.floor(u[2] * (height - h)), jnp.floor(u[3] * (width - w)),
                      h, w)

  zero = jnp.zeros_like(height)
  return _first_valid(key, attempt, otherwise=Box(zero, zero, height, width))


def torchvision_box(key: jax.Array, height: jax.typing.ArrayLike,
                    width: jax.typing.ArrayLike, area: tuple[float, float],
                    ratio: tuple[float, float]) -> Box:
  """Draws a box as torchvision's `RandomResizedCrop` does.

  The area is uniform, and width / height is log-uniform. If ten attempts fail, the box
  is the largest central one whose shape is within `ratio`.

  Args:
    key: a PRNG key.
    height: height of the image in pixels; may be traced.
    width: width of the image in pixels; may be traced.
    area: smallest and largest area of the crop, as fractions of the image.
    ratio: smallest and largest width / height.
  """
  height, width = jnp.float32(height), jnp.float32(width)
  low, high = jnp.log(jnp.float32(ratio[0])), jnp.log(jnp.float32(ratio[1]))

  def attempt(u):
    pixels = (area[0] + u[0] * (area[1] - area[0])) * height * width
    aspect = jnp.exp(low + u[1] * (high - low))
    h = jnp.round(jnp.sqrt(pixels / aspect))
    w = jnp.round(jnp.sqrt(pixels * aspect))
    valid = (h > 0) & (w > 0) & (h <= height) & (w <= width)
    return valid, Box(jnp.floor(u[2] * (height - h + 1)),
                      jnp.floor(u[3] * (width - w + 1)), h, w)

  h = jnp.minimum(height, jnp.round(width / ratio[0]))
  w = jnp.minimum(width, jnp.round(height * ratio[1]))
  central = Box(jnp.floor((height - h) / 2), jnp.floor((width - w) / 2), h, w)
  return _first_valid(key, attempt, otherwise=central)


def byol_box(key: jax.Array, height: jax.typing.ArrayLike,
             width: jax.typing.ArrayLike, area: tuple[float, float],
             ratio: tuple[float, float]) -> Box:
  """Draws a box as the code of BYOL does (deepmind-research, byol/utils/dataset.py).

  It draws area and shape as torchvision does. But a box that is too tall or too wide is
  cut to the image instead of drawn again, so that crops are larger: 0.53 of the image
  on average.

  Args:
    key: a PRNG key.
    height: height of the image in pixels; may be traced.
    width: width of the image in pixels; may be traced.
    area: smallest and largest area of the crop, as fractions of the image.
    ratio: smallest and largest width / height.
  """
  height, width = jnp.float32(height), jnp.float32(width)
  low, high = jnp.log(jnp.float32(ratio[0])), jnp.log(jnp.float32(ratio[1]))
  u = jax.random.uniform(key, (4,))
  pixels = (area[0] + u[0] * (area[1] - area[0])) * height * width
  aspect = jnp.exp(low + u[1] * (high - low))
  # In tiny images a side could round to 0.
  h = jnp.clip(jnp.round(jnp.sqrt(pixels / aspect)), 1, height)
  w = jnp.clip(jnp.round(jnp.sqrt(pixels * aspect)), 1, width)
  return Box(jnp.floor(u[2] * (height - h + 1)), jnp.floor(u[3] * (width - w + 1)),
             h, w)


SAMPLERS = {'tensorflow': tensorflow_box, 'torchvision': torchvision_box,
            'byol': byol_box}


def center_box(height: jax.typing.ArrayLike, width: jax.typing.ArrayLike,
               proportion: float, aspect: float) -> Box:
  """Returns the central box of google's SimCLR evaluation.

  Args:
    height: height of the image in pixels; may be traced.
    width: width of the image in pixels; may be traced.
    proportion: sides of the box, as a fraction of those of the largest central box.
    aspect: width / height of the box.
  """
  height, width = jnp.float32(height), jnp.float32(width)
  tallest = jnp.minimum(height, width / aspect)
  h = jnp.round(proportion * tallest)
  w = jnp.round(proportion * aspect * tallest)
  return Box(jnp.floor((height - h + 1) / 2), jnp.floor((width - w + 1) / 2), h, w)


def _first_valid(key: jax.Array, attempt: Attempt, otherwise: Box) -> Box:
  """Returns the first valid one of ATTEMPTS boxes, without a loop."""
  # The draw is flat, because XLA:CPU needs 2 s to compile one of shape (4, 10).
  u = jax.random.uniform(key, (4 * ATTEMPTS,)).reshape(4, ATTEMPTS)
  valid, _ = attempt(u)
  # A mask selects the attempt, because under vmap an index would be a gather.
  chosen = jnp.arange(ATTEMPTS) == jnp.argmax(valid)
  _, box = attempt(jnp.sum(jnp.where(chosen[None, :], u, 0), axis=1))
  return jax.tree.map(lambda x, y: jnp.where(valid.any(), x, y), box, otherwise)
