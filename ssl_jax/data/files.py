"""Reads images in separate files: those of a folder, or those that a list names."""

import csv
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from ssl_jax import errors
from ssl_jax.data import images, parquet, split_rules
from ssl_jax.data.scan_report import FileList

_COLUMNS = ('path', 'label', 'split')


class Files(images.EncodedImages):
  """A source of images in separate files.

  Attributes:
    image_names: The names of the images for users.

  Args:
    listing: The files and their labels.
    name: Name of the data in messages.
    image_names: A name for each file; None for the paths.
    image_size: See `images.EncodedImages`; also channels, max_bad_images and canvas.
  """

  image_names: Sequence[str] = ()

  def __init__(self, listing: FileList, name: str, image_names: Sequence[str] | None,
               *, image_size: int | None, channels: int, max_bad_images: int,
               canvas: bool = False):
    self.paths, self.labels = listing.paths, listing.labels
    self.image_names = self.paths if image_names is None else image_names
    super().__init__(name, listing.class_names, image_size, channels,
                     max_bad_images, canvas)

  def __len__(self) -> int:
    return len(self.paths)

  @property
  def file_names(self) -> list[str]:
    return [os.path.basename(path) for path in self.paths]

  def records(self, indices: np.ndarray) -> Iterator[images.Record]:
    for i in indices:
      try:
        data = images.read_file(self.paths[i])
      except images.BadImage as e:
        yield images.Record(b'', self.labels[i], self.paths[i], e)
      else:
        yield images.Record(data, self.labels[i], self.paths[i])


def open_list(path: str, name: str, *, image_size: int | None, channels: int,
              max_bad_images: int, canvas: bool = False) -> tuple[Files, list[str]]:
  """Opens the images that a file lists.

  A text file has one path a line. A .csv or .parquet file has the column `path`, and
  may have the columns `label` (the name of the class, empty for none) and `split`.
  Paths are relative to the folder of the list. Empty lines are ignored.

  Args:
    path: Path of the list.
    name: Name of the data in messages.
    image_size: See `images.EncodedImages`; also channels, max_bad_images and canvas.

  Returns:
    The images, and the split of each, or '' for an unknown one.

  Raises:
    errors.UserError: The list cannot be read, is empty, has no column `path`, or names
      an unknown split.
  """
  table = _table(path)
  folder = pathlib.Path(path).expanduser().parent
  names = table['path']
  labels, class_names = split_rules.class_ids(
      [text.strip() for text in table.get('label', [''] * len(names))])
  splits = [text.strip() for text in table.get('split', [''] * len(names))]
  for text in splits:
    if text and text.lower() not in split_rules.NAMES:
      raise errors.UserError(
          f'{path} has the split {text!r}; accepted are train, validation and test'
          f'{errors.suggestion(text, split_rules.NAMES)}')
  listing = FileList(tuple(str(folder / name) for name in names), labels, class_names)
  return Files(listing, name, names, image_size=image_size, channels=channels,
               max_bad_images=max_bad_images, canvas=canvas), splits


def _table(path: str) -> dict[str, list[str]]:
  """Reads the columns of a list."""
  file = pathlib.Path(path).expanduser()
  try:
    if file.suffix == '.parquet':
      table = parquet.texts(str(file))
    elif file.suffix == '.csv':
      with file.open(newline='', encoding='utf-8-sig') as lines:
        reader = csv.DictReader(lines)
        rows = list(reader)
      table = {column: [row[column] or '' for row in rows]
               for column in reader.fieldnames or ()}
    else:
      lines = file.read_text(encoding='utf-8').splitlines()
      table = {'path': [line for line in lines if line.strip()]}
  except (OSError, UnicodeDecodeError, csv.Error) as e:
    raise errors.UserError(
        f'files:{path} cannot be read ({e}); give a text file with the path of one '
        'image a line, or a .csv or .parquet file with the columns path and label'
    ) from e
  if 'path' not in table:
    raise errors.UserError(
        f'files:{path} has no column path; its columns are {", ".join(table) or "none"}'
        f'; name them {", ".join(_COLUMNS)}')
  if not table['path']:
    raise errors.UserError(f'files:{path} lists no images; add the path of one image a '
                           'line')
  return table
