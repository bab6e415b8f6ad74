"""Flips, rotates, shifts and masks images, float32 [H, W, C]."""

import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.augment import resample


def flip(image: jax.Array) -> jax.Array:
  """Swaps left and right."""
  return image[:, ::-1]


def rotate(image: jax.Array, quarter_turns: jax.typing.ArrayLike) -> jax.Array:
  """Rotates a square image counter-clockwise, like `np.rot90(image, quarter_turns)`.

  Args:
    image: float32 [H, H, C].
    quarter_turns: the rotation in multiples of 90 degrees, 0 to 3; may be traced.

  Raises:
    errors.UserError: the image is not square.
  """
  height, width = image.shape[:2]
  if height != width:
    raise errors.UserError(
        f'images are {height}x{width}, and rotations need square images; set '
        'config.augment.size')
  return jax.lax.select_n(
      jnp.asarray(quarter_turns, jnp.int32), *(jnp.rot90(image, k) for k in range(4)))


def rotate_all(images: jax.Array, quarter_turns: tuple[int, ...]) -> jax.Array:
  """Rotates every image by each of V rotations, and returns [B * V, H, H, C].

  Row i * V + v is image i rotated by `quarter_turns[v]`, as in RotNet's batches.

  Args:
    images: float32 [B, H, H, C].
    quarter_turns: V rotations in multiples of 90 degrees, each 0 to 3.

  Raises:
    errors.UserError: the images are not square.
  """
  turned = jax.vmap(lambda image: jnp.stack([rotate(image, k) for k in quarter_turns]))
  return turned(images).reshape(-1, *images.shape[1:])


def pad_and_crop(key: jax.Array, image: jax.Array, pad: int) -> jax.Array:
  """Pads with zeros on all sides and crops the original shape at random.

  All (2 * pad + 1)^2 positions are equally likely.

  Args:
    key: a PRNG key.
    image: float32 [H, W, C].
    pad: number of zeros on each side.
  """
  down, right = jax.random.randint(key, (2,), -pad, pad + 1)
  rows = resample.shift_weights(image.shape[0], down)
  columns = resample.shift_weights(image.shape[1], right)
  return resample.separable(image, rows, columns)


def cutout(key: jax.Array, image: jax.Array, fraction: float) -> jax.Array:
  """Sets a square at a random position to 0 (DeVries & Taylor 2017).

  All pixels are equally likely to be the centre. At the borders the square is cut.

  Args:
    key: a PRNG key.
    image: float32 [H, W, C].
    fraction: side of the square as a fraction of the image's height.
  """
  height, width = image.shape[:2]
  side = round(fraction * height)
  u = jax.random.uniform(key, (2,))
  top = jnp.floor(u[0] * height) - side // 2
  left = jnp.floor(u[1] * width) - side // 2
  y, x = jnp.arange(height)[:, None, None], jnp.arange(width)[None, :, None]
  hole = (y >= top) & (y < top + side) & (x >= left) & (x < left + side)
  return jnp.where(hole, 0, image)
