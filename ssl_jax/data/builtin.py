"""Makes data sets without a download: scikit-learn's digits, and synthetic images."""

import numpy as np

from ssl_jax import errors
from ssl_jax.data import images, sources, subsets

_TEST_FRACTION = 0.2
_CHUNK = 2048  # images drawn at once, which limits the memory for float32 pixels


def digits(image_size: int | None = None,
           channels: int = 3) -> dict[str, sources.Arrays]:
  """Returns 1,797 handwritten digits (UCI optdigits) of 8x8 pixels with 17 gray levels.

  The images are split into train and test at random with a fixed seed, about 4 to 1,
  with the same fraction of every class.

  Args:
    image_size: Side of the images in pixels, a multiple of 8; pixels are repeated.
      None is 8.
    channels: Number of channels, 1 to 4; the gray value is repeated.

  Returns:
    The splits 'train' and 'test'.

  Raises:
    errors.UserError: `image_size` is not a multiple of 8, or `channels` is not
      accepted.
  """
  from sklearn import datasets  # This import takes seconds, so it is not at the top.

  images.check_channels(channels)
  size = image_size or 8
  if size % 8:
    raise errors.UserError(f'config.data.image_size is {size}, but digits have 8x8 '
                           'pixels; use a multiple of 8')
  raw = datasets.load_digits()
  pixels = np.rint(raw.images * (255 / 16)).astype(np.uint8)[..., None]
  for axis in (1, 2):
    pixels = pixels.repeat(size // 8, axis)
  whole = sources.Arrays(pixels.repeat(channels, 3), raw.target.astype(np.int32),
                      tuple(map(str, range(10))))
  train, test = subsets.split_validation(whole.labels, _TEST_FRACTION)
  return {'train': sources.subset(whole, train, 'digits/train'),
          'test': sources.subset(whole, test, 'digits/test')}


def synthetic(split: str, image_size: int | None = None, channels: int = 3, *,
              num_examples: int = 1024, num_classes: int = 4,
              seed: int = 0) -> sources.Arrays:
  """Draws coloured gratings with NumPy, with one orientation and hue per class.

  Phase, wavelength, contrast and noise vary within a class. All images are
  brighter towards the top, so that rotations can be recognised too.

  Args:
    split: 'train' has `num_examples` images, and 'test' a quarter of that.
    image_size: Side of the images in pixels; None is 32.
    channels: 3 for colours; 1, 2 or 4 for gray gratings.
    num_examples: Number of images of the train split.
    num_classes: Number of classes. The numbers of images of two classes differ by at
      most one.
    seed: Seed of all random numbers. The splits never share an image.

  Raises:
    errors.UserError: `num_examples` < `num_classes`, or `channels` is not accepted.
  """
  images.check_channels(channels)
  if not 1 <= num_classes <= num_examples:
    raise errors.UserError(
        f'config.data.num_examples is {num_examples}, but config.data.num_classes is '
        f'{num_classes}; use at least one example per class')
  n = num_examples if split == 'train' else max(num_classes, num_examples // 4)
  size = image_size or 32
  labels = (np.arange(n) % num_classes).astype(np.int32)
  pixels = np.empty((n, size, size, channels), np.uint8)
  random = np.random.default_rng((seed, split == 'train'))
  for start in range(0, n, _CHUNK):
    part = slice(start, start + _CHUNK)
    pixels[part] = _gratings(labels[part], num_classes, size, channels, random)
  return sources.Arrays(pixels, labels, tuple(f'class {i}' for i in range(num_classes)),
                     f'synthetic/{split}')


def _gratings(labels: np.ndarray, num_classes: int, size: int, channels: int,
              random: np.random.Generator) -> np.ndarray:
  """Draws gratings, uint8 [n, size, size, channels], for labels [n]."""
  def draw(low, high, *shape):
    return random.uniform(low, high, (len(labels), *shape)).astype(np.float32)

  position = (labels / num_classes).astype(np.float32)[:, None, None]  # in [0, 1)
  y, x = np.mgrid[:size, :size].astype(np.float32) / size
  across = x * np.cos(np.pi * position) + y * np.sin(np.pi * position)
  waves = np.sin(2 * np.pi * (draw(2, 3, 1, 1) * across + draw(0, 1, 1, 1)))
  light = 0.5 + 0.15 * (0.5 - y) + draw(0.15, 0.3, 1, 1) * waves
  hue = position[..., None] + np.arange(channels, dtype=np.float32) / 3
  tint = 1 + 0.4 * np.cos(2 * np.pi * hue) if channels == 3 else 1.0
  pixels = light[..., None] * tint + 0.05 * random.standard_normal(
      (len(labels), size, size, channels), np.float32)
  return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
