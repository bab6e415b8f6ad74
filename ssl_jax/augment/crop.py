"""Random crops: which box, and the box resized to a fixed shape.

The samplers in use draw different distributions, and so are different
augmentations: TensorFlow's crops have mean area 0.42 of a 224 px image,
torchvision's 0.48, BYOL's 0.53, from the same `area` and `ratio`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ssl_jax.augment import resample

# As torchvision. TensorFlow tries 100 times, but with google's ranges an attempt
# fails in fewer than 8 cases of 100 at any size: ten in a row never do.
ATTEMPTS = 10


class Box(NamedTuple):
  """A part of an image, in whole pixels (float32 or int scalars)."""
  top: jax.typing.ArrayLike
  left: jax.typing.ArrayLike
  height: jax.typing.ArrayLike
  width: jax.typing.ArrayLike


# From four uniform numbers to whether their box is acceptable, and the box.
Attempt = Callable[[jax.Array], tuple[jax.Array, Box]]


def crop_and_resize(image: jax.Array, box: Box, size: tuple[int, int],
                    method: str = 'bicubic', antialias: bool = False) -> jax.Array:
  """Resizes the part `box` of a float image [H, W, C] to [*size, C], float32.

  Bicubic overshoots: results may leave [0, 1]. See `resample.resize_weights`.
  """
  rows = resample.resize_weights(
      image.shape[0], box.top, box.height, size[0], method, antialias)
  columns = resample.resize_weights(
      image.shape[1], box.left, box.width, size[1], method, antialias)
  return resample.separable(image, rows, columns)


def tensorflow_box(key: jax.Array, height: jax.typing.ArrayLike,
                   width: jax.typing.ArrayLike, area: tuple[float, float],
                   ratio: tuple[float, float],
                   min_covered: float = 0.1) -> Box:
  """Draws as `tf.image.sample_distorted_bounding_box` does, for a whole image.

  Width / height is uniform in `ratio`, then the height is a uniform integer of
  those that keep `area` (fractions of the image). Crops smaller than
  `min_covered` are refused, so that google's area (0.08, 1) really begins at
  0.1. Offsets are uniform but never the last one possible: the right and bottom
  edges are reached only by crops of full width or height.

  Args:
    key: a PRNG key.
    height: of the image, in pixels; may be traced, as may `width`.
    width: of the image.
    area: smallest and largest fraction of the image.
    ratio: smallest and largest width / height.
    min_covered: smallest accepted fraction of the image.
  """
  height, width = jnp.float32(height), jnp.float32(width)
  least, most = area[0] * height * width, area[1] * height * width

  def attempt(u):
    aspect = ratio[0] + u[0] * (ratio[1] - ratio[0])
    tallest = jnp.minimum(jnp.round(jnp.sqrt(most / aspect)), height)
    tallest = jnp.minimum(tallest, jnp.floor((width + 0.5) / aspect))
    shortest = jnp.minimum(jnp.round(jnp.sqrt(least / aspect)), tallest)
    h = shortest + jnp.floor(u[1] * (tallest - shortest + 1))
    # Rounding may have left the range of areas by a pixel; TF corrects it once.
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
  """Draws as torchvision's `RandomResizedCrop` does.

  The area is uniform and width / height log-uniform; ten attempts, and then the
  largest central crop whose shape is within `ratio`. Arguments are those of
  `tensorflow_box`.
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
  """Draws as the code of BYOL does (deepmind-research, byol/utils/dataset.py).

  As torchvision, but a box that is too tall or too wide is cut to the image instead
  of drawn again, so that crops are larger: 0.53 of the image on average. Arguments
  are those of `tensorflow_box`.
  """
  height, width = jnp.float32(height), jnp.float32(width)
  low, high = jnp.log(jnp.float32(ratio[0])), jnp.log(jnp.float32(ratio[1]))
  u = jax.random.uniform(key, (4,))
  pixels = (area[0] + u[0] * (area[1] - area[0])) * height * width
  aspect = jnp.exp(low + u[1] * (high - low))
  # At least a pixel, which tiny images would else fall below.
  h = jnp.clip(jnp.round(jnp.sqrt(pixels / aspect)), 1, height)
  w = jnp.clip(jnp.round(jnp.sqrt(pixels * aspect)), 1, width)
  return Box(jnp.floor(u[2] * (height - h + 1)), jnp.floor(u[3] * (width - w + 1)),
             h, w)


SAMPLERS = {'tensorflow': tensorflow_box, 'torchvision': torchvision_box,
            'byol': byol_box}


def center_box(height: jax.typing.ArrayLike, width: jax.typing.ArrayLike,
               proportion: float, aspect: float) -> Box:
  """The central crop of google's SimCLR evaluation.

  `proportion` of the largest box of that `aspect` (width / height).
  """
  height, width = jnp.float32(height), jnp.float32(width)
  tallest = jnp.minimum(height, width / aspect)
  h = jnp.round(proportion * tallest)
  w = jnp.round(proportion * aspect * tallest)
  return Box(jnp.floor((height - h + 1) / 2), jnp.floor((width - w + 1) / 2), h, w)


def _first_valid(key: jax.Array, attempt: Attempt, otherwise: Box) -> Box:
  """The first valid one of ATTEMPTS boxes, without a loop."""
  # Drawn flat: XLA:CPU needs 2 s to compile a draw of shape (4, 10).
  u = jax.random.uniform(key, (4 * ATTEMPTS,)).reshape(4, ATTEMPTS)
  valid, _ = attempt(u)
  # A mask, because under vmap an index would be a gather.
  chosen = jnp.arange(ATTEMPTS) == jnp.argmax(valid)
  _, box = attempt(jnp.sum(jnp.where(chosen[None, :], u, 0), axis=1))
  return jax.tree.map(lambda x, y: jnp.where(valid.any(), x, y), box, otherwise)
