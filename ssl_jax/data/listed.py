"""Reads images that a program gives one by one, as paths or as arrays."""

import io
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from ssl_jax import errors
from ssl_jax.data import images

_NAMED_AT_MOST = 20  # images that one message names
Item = str | os.PathLike | np.ndarray


class Listed(images.EncodedImages):
  """A source of files and arrays, in the order of a list. Images have no labels.

  No image is skipped with a warning: `bad.reasons` collects those that do not decode.

  Args:
    items: Paths of image files, and arrays uint8 [H, W] or [H, W, C] with 1
      (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGBA) channels.
    name: Name of the list in messages.
    image_size: See `images.EncodedImages`; also channels and canvas.

  Raises:
    errors.UserError: The list is empty, or an item is neither a path nor such an
      array.
  """

  def __init__(self, items: Sequence[Item], name: str, *, image_size: int | None,
               channels: int, canvas: bool = False):
    self._items = check_items(items)
    self.labels = np.full(len(self._items), -1, np.int32)
    super().__init__(name, (), image_size, channels, len(self._items), canvas)
    self.skip_bad_images()

  def __len__(self) -> int:
    return len(self._items)

  @property
  def file_names(self) -> list[str]:
    return [self._name(i) for i in range(len(self))]

  def records(self, indices: np.ndarray) -> Iterator[images.Record]:
    for i in indices:
      item, data, error = self._items[i], b'', None
      try:
        data = (_encoded(item) if isinstance(item, np.ndarray) else
                images.read_file(os.fspath(item)))
      except images.BadImage as e:
        error = e
      yield images.Record(data, -1, self._name(i), error)

  def _name(self, i: int) -> str:
    item = self._items[i]
    return f'array {i}' if isinstance(item, np.ndarray) else os.fspath(item)

  def check_all_decode(self, decoded: np.ndarray) -> None:
    """Raises `errors.UserError` that names the images that did not decode.

    Args:
      decoded: int [n], the indices of the images that were decoded.
    """
    missing = np.setdiff1d(np.arange(len(self)), decoded)
    if not len(missing):
      return
    # Another process may have tried to decode the image, and know the reason.
    sentences = [f'{name} {self.bad.reasons.get(name, "does not decode")}'
                 for name in map(self._name, missing)]
    raise errors.UserError(
        f'{len(missing)} of {len(self)} images cannot be used: '
        f'{errors.listed(sentences, _NAMED_AT_MOST, "; ")}. Repair them, or leave them '
        'out of the list')


def check_items(items: Sequence[Item]) -> list[Item]:
  """Returns the items of a list, once each is a path or an image.

  Raises:
    errors.UserError: The list is empty or is not a list, or an item is neither a path
      nor an array of the accepted shapes and dtype.
  """
  if isinstance(items, str | os.PathLike):
    example = f'sorted(glob.glob({str(pathlib.Path(items) / "*.jpg")!r}))'
    raise errors.UserError(
        f'images is {str(items)!r}; give a list of paths or arrays, for example '
        f'{example if os.path.isdir(items) else [str(items)]}')
  if isinstance(items, np.ndarray) and items.ndim != 4:
    raise errors.UserError(
        f'images is an array of shape {items.shape}; give uint8 [N, H, W, C], or a '
        'list of paths or arrays')
  items = list(items)
  if not items:
    raise errors.UserError('images is an empty list; give at least one path or array')
  for i, item in enumerate(items):
    if isinstance(item, str | os.PathLike):
      continue
    if not isinstance(item, np.ndarray):
      raise errors.UserError(f'image {i} is of type {type(item).__name__}; give a path '
                             'or a NumPy array')
    colours = item.shape[2] if item.ndim == 3 else 1
    if item.ndim not in (2, 3) or colours not in (1, 2, 3, 4) or 0 in item.shape:
      raise errors.UserError(f'image {i} has shape {item.shape}; accepted are [H, W] '
                             'and [H, W, C] with 1 to 4 channels')
    if item.dtype != np.uint8:
      raise errors.UserError(f'image {i} has dtype {item.dtype}; give uint8, with '
                             'values from 0 to 255')
  return items


def _encoded(pixels: np.ndarray) -> bytes:
  """Returns an array as an uncompressed TIFF file, so that it is read as a file is."""
  pixels = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'TIFF')
  return file.getvalue()
