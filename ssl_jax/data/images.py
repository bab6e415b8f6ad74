"""From encoded files to uint8 arrays of one shape, and what to do where that fails."""

import abc
import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image, ImageOps

from ssl_jax import errors
from ssl_jax.data import base

# What PIL raises on bytes that are not an image, are cut short, or are a bomb.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
_MODES = {1: 'L', 3: 'RGB'}


class BadImage(Exception):
  """These bytes do not decode to an image."""


class Record(NamedTuple):
  """One stored example: encoded bytes, a label (-1 for none), what to call it."""

  data: bytes
  label: int
  name: str


def open_image(data: bytes, target: int | None = None) -> Image.Image:
  """Decodes bytes to an upright PIL image.

  Args:
    data: JPEG, PNG, WebP or BMP.
    target: Where given, a large JPEG may be decoded at a reduced scale whose
      sides are still at least twice this, which is several times faster.

  Raises:
    BadImage: Not an image, truncated, or beyond PIL's decompression limit.
  """
  try:
    image = Image.open(io.BytesIO(data))
    if target:
      image.draft(None, (2 * target, 2 * target))
    image.load()
    return ImageOps.exif_transpose(image)
  except _BROKEN as e:
    raise BadImage(str(e) or type(e).__name__) from e


def to_mode(image: Image.Image, channels: int) -> Image.Image:
  """Any mode (gray, palette, CMYK, 16 bit, alpha) to gray or RGB.

  Transparent pixels show a white ground, what a viewer mostly sees.
  """
  if image.mode.startswith('I'):  # PIL would clip 16 bits at 255
    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if image.has_transparency_data:
    image = image.convert('RGBA')
    ground = Image.new('RGBA', image.size, 'white')
    image = Image.alpha_composite(ground, image)
  return image if image.mode == _MODES[channels] else image.convert(_MODES[channels])


def decode(data: bytes, image_size: int | None, channels: int) -> np.ndarray:
  """Decodes to uint8 [H, W, channels].

  Args:
    data: An encoded image.
    image_size: Side of the square result: the centre square, resampled with
      PIL's antialiased bicubic filter. None keeps the size as it is.
    channels: 1 or 3.

  Raises:
    BadImage: The bytes do not decode.
  """
  image = to_mode(open_image(data, image_size), channels)
  if image_size and image.size != (image_size, image_size):
    image = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BICUBIC)
  pixels = np.asarray(image)
  return pixels[..., None] if pixels.ndim == 2 else pixels


def check_channels(channels: int) -> None:
  """Raises `errors.UserError` for anything but gray and RGB."""
  if channels not in _MODES:
    raise errors.UserError(
        f'config.data.channels is {channels}; use 3 (RGB) or 1 (gray)')


class BadImages:
  """Counts, names and limits the images of one source that do not decode."""

  def __init__(self, source: str, limit: int):
    self.source, self.limit = source, limit
    self.names: set[str] = set()

  def add(self, name: str, reason: Exception) -> None:
    """Notes one image; one seen in an earlier epoch is not news.

    Raises:
      errors.UserError: There are now more than the limit.
    """
    if name in self.names:
      return
    self.names.add(name)
    logging.warning('Skipping bad image %d of at most %d in %s: %s (%s)',
                    len(self.names), self.limit, self.source, name, reason)
    if len(self.names) > self.limit:
      raise errors.UserError(
          f'{self.source} has more bad images than config.data.max_bad_images, '
          f'which is {self.limit} (the last one is {name}: {reason}); repair or '
          'remove them, or raise the limit')


class Encoded(base.Source):
  """A source of encoded images; a subclass says where their bytes are.

  Args:
    name: As in messages.
    class_names: One per label.
    image_size: Side to which images are cut and resampled. None: all images
      must have the size of the first.
    channels: 1 or 3.
    max_bad_images: How many may fail to decode before reading raises. Worker
      processes count each for itself.

  Raises:
    errors.UserError: `channels` is neither 1 nor 3, or the first images are all bad.
  """

  def __init__(self, name: str, class_names: tuple[str, ...],
               image_size: int | None, channels: int, max_bad_images: int):
    check_channels(channels)
    self.name, self.class_names = name, class_names
    self.image_size, self.channels = image_size, channels
    self.bad = BadImages(name, max_bad_images)
    side = image_size or self._first_size()
    self.image_shape = (*np.broadcast_to(side, 2).tolist(), channels)

  @abc.abstractmethod
  def records(self, indices: np.ndarray) -> Iterator[Record]:
    """The stored examples `indices`, in that order.

    An image whose file cannot be read has empty bytes.
    """

  def read(self, indices: np.ndarray) -> base.Rows:
    n = len(indices)
    rows = base.Rows(np.zeros((n, *self.image_shape), np.uint8),
                     np.full(n, -1, np.int32), np.zeros(n, bool))
    for i, record in enumerate(self.records(indices)):
      rows.labels[i] = record.label
      try:
        image = decode(record.data, self.image_size, self.channels)
      except BadImage as e:
        self.bad.add(record.name, e)
        continue
      if image.shape != self.image_shape:
        raise errors.UserError(
            f'{self.name} has images of several sizes ({record.name} is '
            f'{image.shape[1]}x{image.shape[0]}, the first '
            f'{self.image_shape[1]}x{self.image_shape[0]}); set '
            'config.data.image_size')
      rows.images[i], rows.ok[i] = image, True
    return rows

  def _first_size(self) -> tuple[int, int]:
    """(H, W) of the first image that decodes."""
    for i in range(len(self)):
      record, = self.records(np.array([i]))
      try:
        return decode(record.data, None, self.channels).shape[:2]
      except BadImage as e:
        self.bad.add(record.name, e)
    raise errors.UserError(f'{self.name} has no image that decodes')
