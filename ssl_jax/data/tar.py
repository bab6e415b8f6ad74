"""Reads images in tar files, such as the shards of WebDataset, with random access.

Grain reads no tar files. The index of a tar file has the place of every image in it, so
that one image is one read from the file.
"""

import functools
import os
import tarfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ssl_jax import errors
from ssl_jax.data import file_tree, images, split_rules


class Entry(NamedTuple):
  """An image in a tar file.

  Attributes:
    path: Path of the tar file.
    name: Path of the image in the tar file.
    offset: Place of its first byte in the tar file.
    size: Number of its bytes.
    label: Its label as text; '' without label.
  """

  path: str
  name: str
  offset: int
  size: int
  label: str


class Tar(images.EncodedImages):
  """A source of the images in tar files that are not compressed.

  Attributes:
    splits: The split of each image by the name of its file, or '' for an unknown one.

  Args:
    files: The paths of the files.
    name: Name of the data in messages.
    image_size: See `images.EncodedImages`; also channels, max_bad_images and canvas.

  Raises:
    errors.UserError: See `index`.
  """

  def __init__(self, files: Sequence[str], name: str, *, image_size: int | None,
               channels: int, max_bad_images: int, canvas: bool = False):
    self._entries = [entry for path in files for entry in _index_of(
        path, os.path.getsize(path), os.path.getmtime(path))]
    if not self._entries:
      raise errors.UserError(
          f'{name} has no images; images end in {", ".join(file_tree.SUFFIXES)}')
    self.labels, class_names = split_rules.class_ids([e.label for e in self._entries])
    self.splits = [split_rules.of_path(entry.path) for entry in self._entries]
    super().__init__(name, class_names, image_size, channels, max_bad_images, canvas)

  def __len__(self) -> int:
    return len(self._entries)

  @property
  def file_names(self) -> list[str]:
    return [os.path.basename(entry.name) for entry in self._entries]

  @property
  def image_names(self) -> list[str]:
    return [_place(entry) for entry in self._entries]

  def records(self, indices: np.ndarray) -> Iterator[images.Record]:
    for i in indices:
      entry, data, error = self._entries[i], b'', None
      try:
        with open(entry.path, 'rb') as file:
          file.seek(entry.offset)
          data = file.read(entry.size)
      except OSError as e:
        error = images.BadImage(f'cannot be read: {e.strerror or e}')
      yield images.Record(data, self.labels[i], _place(entry), error)


def _place(entry: Entry) -> str:
  return f'{os.path.basename(entry.path)}/{entry.name}'


def index(path: str) -> list[Entry]:
  """Lists the images of a tar file, in their order.

  Files whose paths are equal up to the first dot of the name belong together, as in
  WebDataset: `a/1.jpg` is an image, and `a/1.cls` has its label as text. Of several
  images that belong together, the first one is used. Only headers and labels are read.

  Args:
    path: Path of the tar file.

  Raises:
    errors.UserError: The file is compressed, cut off, or no tar file.
  """
  found, labels = {}, {}
  try:
    with tarfile.open(path, 'r:') as tar:
      for member in tar:
        folder, name = os.path.split(member.name)
        stem, _, suffix = name.partition('.')
        if not member.isfile() or not stem:  # hidden files begin with a dot
          continue
        key = folder, stem
        if suffix == 'cls':
          labels[key] = tar.extractfile(member).read().decode().strip()
        elif f'.{suffix.lower()}' in file_tree.SUFFIXES:
          found.setdefault(key, member)
      end = os.path.getsize(path)
  except (OSError, tarfile.TarError, UnicodeDecodeError) as e:
    raise errors.UserError(
        f'{path} cannot be read as a tar file ({e}); a compressed file must be '
        'uncompressed first, for example by gunzip, and a damaged one downloaded '
        'again') from e
  cut = [m.name for m in found.values() if m.offset_data + m.size > end]
  if cut:
    raise errors.UserError(f'{path} ends within {cut[0]}; download it again')
  return [Entry(path, m.name, m.offset_data, m.size, labels.get(key, ''))
          for key, m in found.items()]


@functools.cache
def _index_of(path: str, size: int, changed: float) -> list[Entry]:
  """Returns the index of a file; a study opens one data set dozens of times."""
  del size, changed  # The index is made again if the file is another one.
  return index(path)
