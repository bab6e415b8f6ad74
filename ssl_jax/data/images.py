"""From encoded files to uint8 arrays of one shape, and what to do where that fails."""

import abc
import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from absl import logging
from PIL import Image, ImageOps

from ssl_jax import errors
from ssl_jax.data import base

# What PIL raises on bytes that are not an image, are cut short, or are a bomb.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
_MODES = {1: 'L', 3: 'RGB'}
Size = tuple[int, int]  # width and height, as PIL has them


class BadImage(Exception):
  """These bytes do not decode to an image."""


class Record(NamedTuple):
  """One stored example: encoded bytes, a label (-1 for none), what to call it."""

  data: bytes
  label: int
  name: str


def open_image(data: bytes,
               target: Callable[[Size], Size] | None = None) -> Image.Image:
  """Decodes bytes to an upright PIL image.

  Args:
    data: JPEG, PNG, WebP or BMP.
    target: Where given, from the size of the image to the size wanted of it. A
      large JPEG may then be decoded at a reduced scale whose sides are still at
      least twice that, which is several times faster.

  Raises:
    BadImage: Not an image, truncated, or beyond PIL's decompression limit.
  """
  try:
    image = Image.open(io.BytesIO(data))
    if target:
      width, height = target(image.size)
      image.draft(None, (2 * width, 2 * height))
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


def fitted(size: Size, side: int) -> Size:
  """The size at which a whole image fits a square; it is never enlarged."""
  scale = min(1, side / max(size))
  width, height = (max(1, round(scale * x)) for x in size)
  return width, height


def decode(data: bytes, image_size: int | None, channels: int,
           canvas: bool = False) -> np.ndarray:
  """Decodes to uint8 [H, W, channels], resampled by PIL's antialiased bicubic filter.

  Args:
    data: An encoded image.
    image_size: Side of the square result, which is cut from the centre. None
      keeps the size as it is.
    channels: 1 or 3.
    canvas: Nothing is cut: the result is the whole image, shrunk where a side
      exceeds `image_size`.

  Raises:
    BadImage: The bytes do not decode.
  """
  square = (image_size, image_size)
  wanted = (lambda size: fitted(size, image_size)) if canvas else lambda _: square
  image = to_mode(open_image(data, wanted if image_size else None), channels)
  if image_size and image.size != wanted(image.size):
    resize = Image.Image.resize if canvas else ImageOps.fit
    image = resize(image, wanted(image.size), Image.Resampling.BICUBIC)
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
    image_size: Side to which images are cut and resampled, or of the canvas. None:
      all images must have the size of the first.
    channels: 1 or 3.
    max_bad_images: How many may fail to decode before reading raises. Worker
      processes count each for itself.
    canvas: Images are not cut but lie whole in the top left of a canvas; see
      `decode` and `base.Rows`.

  Raises:
    errors.UserError: `channels` is neither 1 nor 3, or the first images are all bad.
  """

  def __init__(self, name: str, class_names: tuple[str, ...],
               image_size: int | None, channels: int, max_bad_images: int,
               canvas: bool = False):
    check_channels(channels)
    self.name, self.class_names = name, class_names
    self.image_size, self.channels, self.canvas = image_size, channels, canvas
    self.bad = BadImages(name, max_bad_images)
    side = image_size or self._first_size()
    self.image_shape = (*np.broadcast_to(side, 2).tolist(), channels)

  @abc.abstractmethod
  def records(self, indices: np.ndarray) -> Iterator[Record]:
    """The stored examples `indices`, in that order.

    An image whose file cannot be read has empty bytes.
    """

  def read(self, indices: np.ndarray) -> base.Rows:
    rows = self.blank(len(indices))
    for i, record in enumerate(self.records(indices)):
      rows.labels[i] = record.label
      try:
        image = decode(record.data, self.image_size, self.channels, self.canvas)
      except BadImage as e:
        self.bad.add(record.name, e)
        continue
      rows.ok[i] = True
      if self.canvas:
        height, width = rows.extents[i] = image.shape[:2]
        rows.images[i, :height, :width] = image
        continue
      if image.shape != self.image_shape:
        raise errors.UserError(
            f'{self.name} has images of several sizes ({record.name} is '
            f'{image.shape[1]}x{image.shape[0]}, the first '
            f'{self.image_shape[1]}x{self.image_shape[0]}); set '
            'config.data.image_size')
      rows.images[i] = image
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
