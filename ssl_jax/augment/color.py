"""Changes colours by the definitions of TensorFlow (google's SimCLR) and torchvision.

Images are float [H, W, C] in [0, 1]. Unless C is 3, hue, saturation and grey are not
defined: their functions return the image, and one line of the log states this.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from absl import logging

from ssl_jax import errors
from ssl_jax.data import notices
from ssl_jax.parallel import platforms

GRAY_WEIGHTS = (0.2989, 0.587, 0.114)  # ITU-R 601, as both libraries round it


class Style(NamedTuple):
  """Describes one style of colour jitter."""
  brightness: str  # 'add' or 'multiply'
  contrast: str    # around the mean of each 'channel', or of the 'gray' image
  saturation: str  # scaled in 'hsv', or a blend with the 'gray' image
  # Strengths of brightness, contrast, saturation and hue as multiples of SimCLR's.
  weights: tuple[float, ...] | None = None


STYLES = {
    'simclr_v1': Style('add', 'channel', 'hsv'),
    'simclr_v2': Style('multiply', 'channel', 'hsv'),
    'torchvision': Style('multiply', 'gray', 'gray'),
    'byol': Style('add', 'channel', 'hsv', (1., 1., 0.5, 1.)),
}


def _has_color(image: jax.Array) -> bool:
  """Returns whether the channels are RGB; logs once what is left out otherwise."""
  channels = image.shape[-1]
  if channels != 3:
    notices.log_once(
        logging.INFO,
        f'Images have {channels} {"channel" if channels == 1 else "channels"}, so '
        'changes of hue and saturation and conversions to grey, which need 3, are left '
        'out of the augmentation')
  return channels == 3


def _extremes(image: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns the largest and smallest channel, as [H, W, 1] or as large as the image.

  Neither form is a reduction, which XLA would not fuse.
  """
  if platforms.on_gpu():  # slices would be written to memory, rolls fuse
    first, second, third = image, jnp.roll(image, 1, -1), jnp.roll(image, 2, -1)
  else:  # rolls take XLA:CPU three times as long
    first, second, third = jnp.split(image, 3, axis=-1)
  return (jnp.maximum(jnp.maximum(first, second), third),
          jnp.minimum(jnp.minimum(first, second), third))


def _luma(image: jax.Array) -> jax.Array:
  """Returns the grey image [H, W, 1], or the image itself unless it is RGB."""
  if not _has_color(image):
    return image
  r, g, b = jnp.split(image, 3, axis=-1)
  return GRAY_WEIGHTS[0] * r + GRAY_WEIGHTS[1] * g + GRAY_WEIGHTS[2] * b


def grayscale(image: jax.Array) -> jax.Array:
  """Sets every channel of an RGB image to 0.2989 R + 0.587 G + 0.114 B."""
  return jnp.broadcast_to(_luma(image), image.shape)


def adjust_contrast(image: jax.Array, factor: jax.typing.ArrayLike,
                    around: str = 'channel') -> jax.Array:
  """Scales the differences to the mean by `factor`, without clipping.

  Args:
    image: float [H, W, C] in [0, 1].
    factor: scale of the differences; may be traced.
    around: the mean that is meant: of each 'channel', or of the 'gray' image. Images
      that are not RGB have no grey image, and the mean is of each channel.
  """
  center = image if around == 'channel' else _luma(image)
  mean = center.mean(axis=(0, 1), keepdims=True)
  return mean + factor * (image - mean)


def adjust_saturation(image: jax.Array, factor: jax.typing.ArrayLike,
                      space: str = 'hsv') -> jax.Array:
  """Scales the saturation by `factor`.

  In HSV the saturation S is clipped to [0, 1] afterwards. Hue and value V do not
  change, so that a channel x becomes V - (V - x) * S'/S without a conversion.

  Args:
    image: float [H, W, C] in [0, 1].
    factor: scale of the saturation, at least 0; may be traced.
    space: 'hsv' scales S of HSV; 'gray' scales the difference to the grey image.
  """
  if not _has_color(image):
    return image
  if space == 'gray':
    gray = _luma(image)
    return gray + factor * (image - gray)
  value, low = _extremes(image)
  chroma = value - low
  inverse = value / jnp.where(chroma > 0, chroma, 1)  # 1 / S
  scale = jnp.where((chroma > 0) & (value > 0), jnp.minimum(factor, inverse), 1)
  return value - (value - image) * scale


def adjust_hue(image: jax.Array, delta: jax.typing.ArrayLike) -> jax.Array:
  """Rotates the hue by `delta` of a full circle, at constant value and saturation."""
  if not _has_color(image):
    return image
  value, low = _extremes(image)
  chroma = value - low
  r, g, b = jnp.split(image, 3, axis=-1)
  inverse = 1 / jnp.where(chroma > 0, chroma, 1)
  # The hue in sixths of a circle from red. A grey has no hue, and its chroma is 0, so
  # that the number does not matter.
  hue = jnp.where(value == r, (g - b) * inverse,
                  jnp.where(value == g, 2 + (b - r) * inverse,
                            4 + (r - g) * inverse))
  # Each channel falls from V to V - chroma on another third of the circle.
  phase = hue + 6 * delta + jnp.array([5., 3., 1.])[None, None, :]
  phase = phase - 6 * jnp.floor(phase / 6)
  return value - chroma * jnp.clip(jnp.minimum(phase, 4 - phase), 0, 1)


def solarize(image: jax.Array, threshold: float = 0.5) -> jax.Array:
  """Inverts all values that are at least `threshold` (PIL's ImageOps.solarize)."""
  return jnp.where(image < threshold, image, 1 - image)


def jitter(key: jax.Array, image: jax.Array, strength: float,
           style: str = 'simclr_v2') -> jax.Array:
  """Changes brightness, contrast, saturation and hue, in random order.

  The first three change by up to 0.8 `strength`, and the hue by up to 0.2 `strength` of
  a circle (Chen et al. 2020, arXiv:2002.05709, appendix A). BYOL's saturation changes
  by half of that (arXiv:2006.07733, table 6, which has `strength` 0.5). Values are
  clipped to [0, 1] after each of the four, as in google's code. A factor is never below
  0, where TensorFlow would fail.

  Args:
    key: a PRNG key.
    image: float [H, W, C] in [0, 1].
    strength: strength of all changes; in the paper 1 for ImageNet and 0.5 for CIFAR-10.
    style: a key of `STYLES`.

  Returns:
    float32 [H, W, C] in [0, 1].

  Raises:
    errors.UserError: the style is not in `STYLES`.
  """
  style = errors.lookup('config.augment.style', style, STYLES)
  u = jax.random.uniform(key, (8,))
  amount = strength * (2 * u[:4] - 1)
  if style.weights is not None:
    amount = amount * jnp.array(style.weights)
  factor = jnp.maximum(1 + 0.8 * amount, 0)
  position = ranks(u[4:])
  ops = (
      lambda x: x + 0.8 * amount[0] if style.brightness == 'add' else x * factor[0],
      lambda x: adjust_contrast(x, factor[1], style.contrast),
      lambda x: adjust_saturation(x, factor[2], style.saturation),
      lambda x: adjust_hue(x, 0.2 * amount[3]),
  )

  def one(i, image):
    changed = image
    # Under vmap a lax.switch would also run every branch. XLA fuses selects with them.
    for op, at in zip(ops, position, strict=True):
      changed = jnp.where(at == i, op(image), changed)
    return jnp.clip(changed, 0, 1)
  if platforms.on_gpu():  # a loop on a GPU copies all images at every iteration
    for i in range(4):
      image = one(i, image)
    return image
  # If the loop were unrolled, XLA:CPU would fuse the operations into every reader of
  # their results and compute them again. That takes 2.5 times as long to run, and twice
  # as long to compile.
  return jax.lax.fori_loop(0, 4, one, image)


def ranks(values: jax.Array) -> jax.Array:
  """Returns the rank of each of n values, int32 [n], without sorting.

  The rank is the number of smaller values, and of equal values before it, so that the
  ranks are a permutation.
  """
  i = jnp.arange(values.shape[0])
  smaller = values[None, :] < values[:, None]
  tied = (values[None, :] == values[:, None]) & (i[None, :] < i[:, None])
  return jnp.sum(smaller | tied, axis=1)
