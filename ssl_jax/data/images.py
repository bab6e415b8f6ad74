"""Decodes image files to uint8 arrays of one shape."""

import abc
import io
import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ssl_jax import errors
from ssl_jax.data import bad_images, sources

_MODES = {1: 'L', 2: 'LA', 3: 'RGB', 4: 'RGBA'}
_TRANSPOSE = Image.Transpose
_UPRIGHT = {2: _TRANSPOSE.FLIP_LEFT_RIGHT, 3: _TRANSPOSE.ROTATE_180,
            4: _TRANSPOSE.FLIP_TOP_BOTTOM, 5: _TRANSPOSE.TRANSPOSE,
            6: _TRANSPOSE.ROTATE_270, 7: _TRANSPOSE.TRANSVERSE, 8: _TRANSPOSE.ROTATE_90}
Size = tuple[int, int]  # width and height in pixels, as in PIL


class BadImage(Exception):
  """An error: the bytes of an image cannot be read or decoded.

  The message is a predicate of which the file is the subject, such as 'is empty'.
  """


class Record(NamedTuple):
  """Holds one stored example.

  Attributes:
    data: The encoded image; empty if it cannot be read.
    label: The class id; -1 for none.
    name: The name of the example in messages.
    error: The reason why the bytes cannot be read, or None.
  """

  data: bytes
  label: int
  name: str
  error: BadImage | None = None


def read_file(path: str) -> bytes:
  """Reads an image file.

  Raises:
    BadImage: The file cannot be read.
  """
  try:
    return pathlib.Path(path).read_bytes()
  except OSError as e:
    raise BadImage(f'cannot be read: {e.strerror or e}') from e


def open_image(data: bytes,
               target: Callable[[Size], Size] | None = None) -> Image.Image:
  """Decodes bytes to an upright PIL image, the first frame if it has several.

  Args:
    data: JPEG, PNG, WebP, BMP, TIFF, GIF or PNM.
    target: Maps the size of the image to the size that is needed, or None. With it, a
      large JPEG may be decoded at a reduced scale whose sides are at least twice the
      needed ones, which is several times faster.

  Raises:
    BadImage: The bytes are empty, not an image, truncated, or the image exceeds PIL's
      decompression limit.
  """
  if not data:
    raise BadImage('is empty')
  try:
    image = Image.open(io.BytesIO(data))
    if target:
      width, height = target(image.size)
      image.draft(None, (2 * width, 2 * height))
    image.load()
    upright = _UPRIGHT.get(_orientation(image))
    return image if upright is None else image.transpose(upright)
  except MemoryError:  # The image is not the cause.
    raise
  except UnidentifiedImageError as e:  # PIL's own message shows a memory address.
    raise BadImage('is not an image that Pillow can read') from e
  except Exception as e:  # Decoders of damaged bytes raise errors of every kind.
    raise BadImage(f'does not decode: {_one_line(e)}') from e


def _orientation(image: Image.Image) -> int:
  """Returns the EXIF orientation, 1 to 8, or 1 without one.

  Only this tag is decoded. `ImageOps.exif_transpose` also writes all other tags again,
  and fails if one of them has an invalid value.
  """
  try:
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in _UPRIGHT else 1
  except MemoryError:
    raise
  except Exception:  # With broken EXIF data the pixels are used without rotation.
    return 1


def _one_line(error: Exception) -> str:
  """Returns the message of an error, with its type if the message alone is unclear."""
  text = ' '.join(str(error).split())[:200]
  known = isinstance(error, (OSError, ValueError, SyntaxError,
                             Image.DecompressionBombError))
  return text if text and known else f'{type(error).__name__} {text}'.strip()


def to_mode(image: Image.Image, channels: int) -> Image.Image:
  """Converts an image of any mode (gray, palette, CMYK, 16 bit, alpha) to C channels.

  Without an alpha channel in the result, transparent pixels become white, as most
  viewers show them. 16-bit pixels keep their higher 8 bits.

  Args:
    image: A PIL image.
    channels: C: 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and alpha).

  Raises:
    BadImage: The pixels are float32 or 32-bit integers, whose range is not known, or
      PIL has no such conversion.
  """
  if image.mode.startswith('I'):  # PIL would clip 16 bits at 255
    deep = np.asarray(image)
    if deep.min() < 0 or deep.max() > 65535:
      raise BadImage('has 32-bit integer or negative pixels, whose range is not known; '
                     'store it with 8 or 16 bits')
    image = Image.fromarray((deep >> 8).astype(np.uint8))
  if image.mode == 'F':
    raise BadImage('has float32 pixels, whose range is not known; store it with 8 or '
                   '16 bits')
  try:
    if image.has_transparency_data and channels in (1, 3):
      image = image.convert('RGBA')
      ground = Image.new('RGBA', image.size, 'white')
      image = Image.alpha_composite(ground, image)
    mode = _MODES[channels]
    return image if image.mode == mode else image.convert(mode)
  except ValueError as e:
    raise BadImage(f'cannot be converted to {_MODES[channels]}: {_one_line(e)}') from e


def fitted(size: Size, side: int) -> Size:
  """Returns the size to which an image of `size` is shrunk to fit a square of `side`.

  An image that fits keeps its size. All numbers are pixels.
  """
  scale = min(1, side / max(size))
  width, height = (max(1, round(scale * x)) for x in size)
  return width, height


def decode(data: bytes, image_size: int | None, channels: int,
           canvas: bool = False) -> np.ndarray:
  """Decodes to uint8 [H, W, channels], resampled by PIL's antialiased bicubic filter.

  Args:
    data: An encoded image.
    image_size: Side in pixels of the square result, which is cropped from the centre.
      None does not change the size.
    channels: C; see `to_mode`.
    canvas: Whether the whole image is returned instead, shrunk if a side exceeds
      `image_size`.

  Raises:
    BadImage: The bytes do not decode, or the pixels have no known range.
  """
  square = (image_size, image_size)
  target = (lambda size: fitted(size, image_size)) if canvas else lambda _: square
  image = to_mode(open_image(data, target if image_size else None), channels)
  if image_size and image.size != target(image.size):
    resize = Image.Image.resize if canvas else ImageOps.fit
    # PIL would multiply colours by alpha, which may be any other measurement here.
    bands = [resize(band, target(image.size), Image.Resampling.BICUBIC)
             for band in (image.split() if channels in (2, 4) else [image])]
    image = Image.merge(image.mode, bands) if len(bands) > 1 else bands[0]
  pixels = np.asarray(image)
  return pixels[..., None] if pixels.ndim == 2 else pixels


def check_channels(channels: int) -> None:
  """Raises `errors.UserError` for numbers of channels that no image mode has."""
  if channels not in _MODES:
    raise errors.UserError(
        f'config.data.channels is {channels}; use 3 (RGB), 1 (gray), 2 (gray and '
        'alpha) or 4 (RGB and alpha)')


class EncodedImages(sources.Source):
  """A source of encoded images, whose bytes a subclass provides by `records`.

  Args:
    name: Name of the data in messages.
    class_names: One name per label.
    image_size: Side in pixels to which images are cropped and resampled, or side of
      the canvas. With None, all images must have the size of the first one.
    channels: Number of channels; see `to_mode`.
    max_bad_images: Number of images that may fail to decode; one more is an error.
      Each worker process counts separately.
    canvas: Whether images are not cropped but placed at the top left of a canvas; see
      `decode` and `sources.Examples`.

  Raises:
    errors.UserError: `channels` is not accepted, or too many of the first images
      do not decode.
  """

  def __init__(self, name: str, class_names: tuple[str, ...],
               image_size: int | None, channels: int, max_bad_images: int,
               canvas: bool = False):
    check_channels(channels)
    self.name, self.class_names = name, class_names
    self.image_size, self.channels, self.canvas = image_size, channels, canvas
    self.bad = bad_images.BadImages(name, max_bad_images)
    side = image_size or self._first_size()
    self.image_shape = (*np.broadcast_to(side, 2).tolist(), channels)

  @abc.abstractmethod
  def records(self, indices: np.ndarray) -> Iterator[Record]:
    """Yields the stored examples `indices`, in that order.

    If an image cannot be read, its record has no bytes but an error.
    """

  def skip_bad_images(self) -> None:
    self.bad = bad_images.Reasons(self.name)

  def read(self, indices: np.ndarray) -> sources.Examples:
    examples = self.blank(len(indices))
    for i, record in enumerate(self.records(indices)):
      examples.labels[i] = record.label
      try:
        image = self._decode(record, self.image_size)
      except BadImage as e:
        self.bad.add(record.name, e)
        continue
      examples.mask[i] = True
      if self.canvas:
        height, width = examples.valid_sizes[i] = image.shape[:2]
        examples.images[i, :height, :width] = image
        continue
      if image.shape != self.image_shape:
        raise errors.UserError(
            f'{self.name} has images of several sizes ({record.name} is '
            f'{image.shape[1]}x{image.shape[0]}, the first '
            f'{self.image_shape[1]}x{self.image_shape[0]}); set '
            'config.data.image_size')
      examples.images[i] = image
    return examples

  def _decode(self, record: Record, image_size: int | None) -> np.ndarray:
    """Decodes one example, or raises its `BadImage`."""
    if record.error:
      raise record.error
    return decode(record.data, image_size, self.channels, self.canvas)

  def _first_size(self) -> tuple[int, int]:
    """Returns (H, W) of the first image that decodes."""
    for i in range(len(self)):
      record, = self.records(np.array([i]))
      try:
        return self._decode(record, None).shape[:2]
      except BadImage as e:
        self.bad.add(record.name, e)
    raise errors.UserError(f'{self.name} has no image that decodes; replace its images')
