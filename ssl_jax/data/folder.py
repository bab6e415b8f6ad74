"""Image folders: `root/class/*.jpg`, or flat and unlabelled."""

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ssl_jax import errors
from ssl_jax.data import images, subsets

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')
_SPLIT_FOLDERS = {'train': ('train',),
                  'validation': ('validation', 'val', 'valid'),
                  'test': ('test',)}
_TEST_FRACTION = 0.2


class Listing(NamedTuple):
  """The files of one split: paths, a label each (-1 for none), class names."""

  paths: tuple[str, ...]
  labels: np.ndarray
  class_names: tuple[str, ...]


class Folder(images.Encoded):
  """Images read file by file; see `images.Encoded` for the arguments."""

  def __init__(self, listing: Listing, name: str, *, image_size: int | None,
               channels: int, max_bad_images: int, canvas: bool = False):
    self.paths, self.labels = listing.paths, listing.labels
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
        data = pathlib.Path(self.paths[i]).read_bytes()
      except OSError:  # counted as a bad image, like one that does not decode
        data = b''
      yield images.Record(data, self.labels[i], self.paths[i])


def scan(root: str) -> dict[str, Listing]:
  """Lists the splits of a folder, sorted by path.

  * With sub-folders `train` and, optionally, `test` and `val` (or
    `validation`, `valid`), these are the splits; without `test`, `val` is it.
    That is how ILSVRC lies on most disks: `train/n01440764/*.JPEG`,
    `val/n01440764/*.JPEG`.
  * With class folders only, a fixed fifth of every class becomes `test`.
  * With loose images only, there is an unlabelled `train` and nothing else.

  Hidden files and files that are not images are ignored.

  Raises:
    errors.UserError: No such folder, no images, an empty class folder, loose
      images next to class folders or in another split than `train`'s classes, or a
      class that `train` does not have.
  """
  top = pathlib.Path(root).expanduser()
  if not top.is_dir():
    raise errors.UserError(f'image folder {root} does not exist; give the path of '
                           'a folder that holds one sub-folder of images per class')
  if (top / 'train').is_dir():
    return _scan_splits(top)
  listing = _scan_one(top)
  if not listing.class_names:
    return {'train': listing}
  rare = np.bincount(listing.labels).argmin()
  if np.count_nonzero(listing.labels == rare) < 2:
    raise errors.UserError(
        f'class folder {top / listing.class_names[rare]} has one image, too few to '
        'cut a test split; add images, or make sub-folders train and test')
  train, test = subsets.split_validation(listing.labels, _TEST_FRACTION)
  return {'train': _take(listing, train), 'test': _take(listing, test)}


def _scan_splits(top: pathlib.Path) -> dict[str, Listing]:
  """Lists `train` and whatever other split has a folder of its own."""
  found = {}
  for split, names in _SPLIT_FOLDERS.items():
    for name in names:
      if split not in found and (top / name).is_dir():
        classes = found['train'].class_names if 'train' in found else None
        found[split] = _scan_one(top / name, classes)
  if 'test' not in found and 'validation' in found:
    found['test'] = found.pop('validation')
  return found


def _scan_one(top: pathlib.Path, classes: tuple[str, ...] | None = None) -> Listing:
  """Lists class folders (labels by `classes`, else sorted names) or loose images."""
  entries = sorted(p for p in top.iterdir() if not p.name.startswith('.'))
  folders = [p for p in entries if p.is_dir()]
  loose = [p for p in entries if p.is_file() and p.suffix.lower() in SUFFIXES]
  if loose and folders:
    raise errors.UserError(
        f'image folder {top} is mislabelled: it has loose images ({loose[0].name}) '
        f'next to class folders ({folders[0].name}); keep one or the other')
  if not loose and not folders:
    raise errors.UserError(
        f'image folder {top} is empty; images end in {", ".join(SUFFIXES)}')
  if loose and classes:
    raise errors.UserError(
        f'image folder {top} has loose images ({loose[0].name}), but train has a '
        f'folder for each class; move every image to the folder of its class here '
        f'too, as in {top / classes[0] / loose[0].name}')
  if loose:
    return Listing(tuple(map(str, loose)), np.full(len(loose), -1, np.int32), ())
  names = classes or tuple(p.name for p in folders)
  paths, labels = [], []
  for folder in folders:
    if folder.name not in names:
      raise errors.UserError(
          f'class folder {folder} has no counterpart in train; its classes are '
          f'{", ".join(names)}{errors.nearest(folder.name, names)}')
    images_of_class = _images_below(folder)
    if not images_of_class:
      raise errors.UserError(
          f'class folder {folder} has no images; add some or remove it (images '
          f'end in {", ".join(SUFFIXES)})')
    paths += images_of_class
    labels += [names.index(folder.name)] * len(images_of_class)
  return Listing(tuple(paths), np.array(labels, np.int32), names)


def _images_below(folder: pathlib.Path) -> list[str]:
  """All images in a folder and below it, sorted, hidden ones left out."""
  found = []
  for parent, folders, files in os.walk(folder, followlinks=True):
    folders[:] = [name for name in folders if not name.startswith('.')]
    found += [os.path.join(parent, name) for name in files
              if not name.startswith('.') and name.lower().endswith(SUFFIXES)]
  return sorted(found)


def _take(listing: Listing, indices: np.ndarray) -> Listing:
  return Listing(tuple(listing.paths[i] for i in indices), listing.labels[indices],
                 listing.class_names)
