"""Collects the content of an image folder and logs it in one line."""

import collections
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from absl import logging

from ssl_jax import errors
from ssl_jax.data import file_tree, notices

_LISTED = 3  # number of names that a message lists


class FileList(NamedTuple):
  """The files of one split.

  Attributes:
    paths: Path of each of the N files.
    labels: int32 [N]; -1 for a file without label.
    class_names: One name per label; empty for files without labels.
  """

  paths: tuple[str, ...]
  labels: np.ndarray
  class_names: tuple[str, ...]


@dataclasses.dataclass
class ScanReport:
  """Collects what one scan of an image folder leaves out.

  Attributes:
    root: The path of the image folder.
    left_out: The numbers of entries that are left out, by kind; see
      `file_tree.Tree.others`.
    folders: A phrase for every folder that is left out.
    places: Real path of every listed file -> its path, and its class or unlabelled
      split.
  """

  root: str
  left_out: collections.Counter[str] = dataclasses.field(
      default_factory=collections.Counter)
  folders: list[str] = dataclasses.field(default_factory=list)
  places: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)

  def leave_out_beside(self, top: file_tree.Tree,
                       splits: Sequence[file_tree.Tree]) -> None:
    """Records the entries next to split folders, which are left out.

    Args:
      top: The image folder.
      splits: The folders of the splits in it.
    """
    used = [tree.path for tree in splits]
    for name, tree in top.folders.items():
      if tree.path not in used:
        why = 'next to train' if tree.num_images else 'no images'
        self.folders.append(f'folder {name} ({why})')
    self.left_out['image next to train'] += len(top.files)
    self.left_out += top.others

  def leave_out_within(self, tree: file_tree.Tree, classes: Sequence[str]) -> None:
    """Records folders without images, and files that are no images in other folders.

    Args:
      tree: A split, or the whole image folder.
      classes: The classes of `train`, whose folders may be empty.
    """
    self.left_out += tree.others
    for name, folder in tree.folders.items():
      if folder.num_images:
        self.left_out += folder.count_others()
      elif name not in classes:
        path = os.path.relpath(folder.path, self.root)
        self.folders.append(f'folder {path} (no images)')

  def once(self, files: Sequence[file_tree.File], place: str) -> list[str]:
    """Returns the paths of files; further paths to the same file are left out.

    Args:
      files: The images of a class, or of an unlabelled split.
      place: Name of that class or split in messages.

    Raises:
      errors.UserError: A file is already listed in another class or split. Its label
        would be wrong, or the encoder would be trained on test images.
    """
    paths = []
    for file in files:
      first, first_place = self.places.setdefault(file.real, (file.path, place))
      if first_place != place:
        raise errors.UserError(
            f'{first} and {file.path} are the same file, in {first_place} and in '
            f'{place}; remove one of the links')
      if first == file.path:
        paths.append(file.path)
      else:
        self.left_out['link to an image of the same class'] += 1
    return paths

  def log(self, listings: Mapping[str, FileList]) -> None:
    """Logs the line, only once in a process.

    Args:
      listings: The files of each split.
    """
    classes = listings['train'].class_names
    notes = [f'folder:{self.root}: ' + summary(
        {split: len(listing.paths) for split, listing in listings.items()},
        len(classes))]
    for split, listing in listings.items():
      present = set(listing.labels.tolist())
      missing = [name for i, name in enumerate(classes) if i not in present]
      if missing and listing.class_names:
        notes.append(f'no {split} images of {listed(missing)}')
    by_letters = collections.defaultdict(list)
    for name in classes:
      by_letters[name.casefold()].append(name)
    notes += [f'the classes {listed(same)} differ only in the case of letters'
              for same in by_letters.values() if len(same) > 1]
    if left_out := [*filter(None, [counts(self.left_out)]), *self.folders]:
      notes.append(f'left out: {", ".join(left_out)}')
    notices.log_once(logging.INFO if len(notes) == 1 else logging.WARNING,
                     '; '.join(notes))


def summary(sizes: Mapping[str, int], classes: int) -> str:
  """Returns a text such as '440 training and 110 test images of 5 classes'.

  Args:
    sizes: Number of images of each split.
    classes: Number of classes; 0 without labels.
  """
  words = {'train': 'training'}
  total = sum(sizes.values())
  parts = [f'{size} {words.get(split, split)}' for split, size in sizes.items()]
  return (f'{_joined(parts)} {"image" if total == 1 else "images"} '
          + (f'of {classes} {"class" if classes == 1 else "classes"}' if classes else
             'without labels'))


def counts(left_out: collections.Counter[str]) -> str:
  """Returns a text such as '3 files ending in .txt, 1 link to nowhere'."""
  def phrase(kind: str, n: int) -> str:
    noun, *rest = kind.split(' ', 1)
    return ' '.join([str(n), noun if n == 1 else f'{noun}s', *rest])

  return ', '.join(phrase(kind, left_out[kind]) for kind in sorted(left_out)
                   if left_out[kind])


def listed(items: Sequence[str]) -> str:
  """Returns the first few names, and the number of further ones."""
  more = len(items) - _LISTED
  return _joined([*items[:_LISTED], *([f'{more} more'] if more > 0 else [])])


def _joined(items: Sequence[str]) -> str:
  """Returns a text such as 'a, b and c'."""
  return ' and '.join(filter(None, [', '.join(items[:-1]), items[-1]]))
