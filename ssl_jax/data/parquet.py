"""Reads parquet files: tables of labels, and images in the form of Hugging Face.

Grain's reader of parquet files is sequential. Batches of this library are functions of
the seed and the step, so that a source needs random access. A row group of a parquet
file can only be read as a whole. So all encoded images are held in host memory, which
takes about as many bytes as the files.
"""

import functools
import importlib.util
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ssl_jax import errors
from ssl_jax.data import images, split_rules

_IMAGE_COLUMNS = ('image', 'img')  # of files that do not state the types of columns


class Columns(NamedTuple):
  """The columns of a data set of images.

  Attributes:
    image: Name of the column of images: bytes, or structs of 'bytes' and 'path'.
    label: Name of the column of labels, or None.
    class_names: The names of the classes that the file states; () if it states none.
  """

  image: str
  label: str | None
  class_names: tuple[str, ...]


def _library(path: str) -> Any:
  """Returns pyarrow.parquet, which is not needed for other data."""
  if importlib.util.find_spec('pyarrow') is None:
    raise errors.UserError(f'{path} needs the package pyarrow, which is not installed; '
                           'install it by `pip install pyarrow`')
  from pyarrow import parquet
  return parquet


def _open(path: str) -> Any:
  """Opens a parquet file, or raises `errors.UserError`."""
  parquet = _library(path)
  try:
    return parquet.ParquetFile(path)
  except (OSError, ValueError) as e:  # ArrowInvalid is a ValueError
    raise errors.UserError(f'{path} cannot be read as a parquet file ({e}); give '
                           'another file, or download it again') from e


def texts(path: str) -> dict[str, list[str]]:
  """Reads the columns of a small table as texts; a missing value is ''.

  Raises:
    errors.UserError: The file cannot be read, or pyarrow is not installed.
  """
  return {name: [_text(value) for value in column]
          for name, column in _open(path).read().to_pydict().items()}


def _text(value: Any) -> str:
  if value is None or isinstance(value, float) and math.isnan(value):
    return ''
  # Whole numbers next to missing values are stored as floats.
  return str(int(value)) if isinstance(value, float) and value == int(value) else (
      str(value))


class Parquet(images.EncodedImages):
  """A source of the images in parquet files.

  Attributes:
    splits: The split of each image by the name of its file, or '' for an unknown one.

  Args:
    files: The paths of the files, which have the same columns.
    name: Name of the data in messages.
    image_size: See `images.EncodedImages`; also channels, max_bad_images and canvas.

  Raises:
    errors.UserError: A file cannot be read, has no column of images or no rows, or
      pyarrow is not installed.
  """

  def __init__(self, files: Sequence[str], name: str, *, image_size: int | None,
               channels: int, max_bad_images: int, canvas: bool = False):
    self._files = files
    opened = [_open(path) for path in files]
    self._columns = columns(opened[0].schema_arrow, files[0])
    self._rows = [file.metadata.num_rows for file in opened]
    if not sum(self._rows):
      raise errors.UserError(f'{name} has no rows; give files with images')
    self.splits = [split for path, rows in zip(files, self._rows, strict=True)
                   for split in [split_rules.of_path(path)] * rows]
    self.labels, class_names = self._read_labels()
    super().__init__(name, class_names, image_size, channels, max_bad_images, canvas)

  def _read_labels(self) -> tuple[np.ndarray, tuple[str, ...]]:
    label, class_names = self._columns.label, self._columns.class_names
    if not label:
      return np.full(len(self), -1, np.int32), ()
    values = self._column(label)
    if class_names:
      ids = [-1 if value is None else value for value in values]
      return np.array(ids, np.int32), class_names
    return split_rules.class_ids([_text(value) for value in values])

  def _column(self, name: str) -> list[Any]:
    """Reads a column of all files."""
    found = []
    for path in self._files:
      try:
        found += _open(path).read([name])[name].to_pylist()
      except KeyError as e:
        raise errors.UserError(f'{path} has no column {name!r}, which {self._files[0]} '
                               'has; give files with the same columns') from e
    return found

  @functools.cached_property
  def _images(self) -> list[Any]:
    return self._column(self._columns.image)

  def __getstate__(self) -> dict[str, Any]:
    """Excludes the images, because a worker process reads them itself."""
    return {k: v for k, v in self.__dict__.items() if k != '_images'}

  def __len__(self) -> int:
    return sum(self._rows)

  @functools.cached_property
  def image_names(self) -> list[str]:
    """The path that the file states, or 'name.parquet[row]'."""
    places = [f'{os.path.basename(path)}[{row}]'
              for path, rows in zip(self._files, self._rows, strict=True)
              for row in range(rows)]
    return [isinstance(image, dict) and image.get('path') or place
            for image, place in zip(self._images, places, strict=True)]

  @property
  def file_names(self) -> list[str]:
    return [os.path.basename(name) for name in self.image_names]

  def records(self, indices: np.ndarray) -> Iterator[images.Record]:
    for i in indices:
      image = self._images[i]
      data = image.get('bytes') if isinstance(image, dict) else image
      error = None if data else images.BadImage('has no bytes in the parquet file')
      yield images.Record(data or b'', self.labels[i], self.image_names[i], error)


def columns(schema: Any, path: str) -> Columns:
  """Finds the columns of images and labels.

  Files of Hugging Face's `datasets` state the type of each column. In other files, the
  images are in the column 'image' or 'img'. Labels are in the column 'label', or else
  in the first one whose type is ClassLabel.

  Args:
    schema: The pyarrow.Schema of the file.
    path: Path of the file in messages.

  Raises:
    errors.UserError: No column has images.
  """
  stated = json.loads((schema.metadata or {}).get(b'huggingface', b'{}'))
  types = stated.get('info', {}).get('features', {})
  kind = lambda name: (types.get(name) or {}).get('_type') if isinstance(
      types.get(name), dict) else None
  found = [name for name in schema.names if kind(name) == 'Image']
  found += [name for name in _IMAGE_COLUMNS if name in schema.names]
  if not found:
    raise errors.UserError(
        f'{path} has no column of images; its columns are {", ".join(schema.names)}; '
        "name the one with the encoded images 'image'. A table with the paths of "
        f'images is read by the name files:{path}')
  classes = [name for name in schema.names if kind(name) == 'ClassLabel']
  label = 'label' if 'label' in schema.names else classes[0] if classes else None
  names = types[label].get('names') or () if label in classes else ()
  return Columns(found[0], label, tuple(names))
