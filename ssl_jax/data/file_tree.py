"""Reads a folder and all folders below it, follows links, and finds image files."""

import collections
import dataclasses
import functools
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from ssl_jax import errors

# The suffixes of torchvision's `IMG_EXTENSIONS`, GIF, and other suffixes of JPEG.
SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.webp', '.bmp', '.tif', '.tiff',
            '.gif', '.ppm', '.pgm')


class File(NamedTuple):
  """An image file.

  Attributes:
    path: The path that was followed, which may contain links.
    real: The path without links.
  """

  path: str
  real: str


@dataclasses.dataclass
class Tree:
  """The content of a folder when it was read, without hidden files and folders.

  Attributes:
    path: The path that was followed, which may contain links.
    real: The path without links.
    files: The image files directly in the folder, sorted by name.
    folders: The folders directly in it by name, sorted.
    others: The numbers of other entries directly in it, by kind. The first word of a
      kind is a noun, as in 'file ending in .txt'.
  """

  path: str
  real: str
  files: list[File] = dataclasses.field(default_factory=list)
  folders: dict[str, 'Tree'] = dataclasses.field(default_factory=dict)
  others: collections.Counter[str] = dataclasses.field(
      default_factory=collections.Counter)

  @functools.cached_property
  def num_images(self) -> int:
    """Returns the number of image files in this folder and below it."""
    return len(self.files) + sum(t.num_images for t in self.folders.values())

  def images(self) -> list[File]:
    """Lists the image files in this folder and below it, sorted by path."""
    if not self.folders:  # The files are sorted already, and there may be a million.
      return self.files
    return sorted(file for tree in self.walk() for file in tree.files)

  def walk(self) -> Iterator['Tree']:
    """Yields this folder and all below it."""
    yield self
    for tree in self.folders.values():
      yield from tree.walk()

  def count_others(self) -> collections.Counter[str]:
    """Counts the entries that are left out in this folder and below it, by kind."""
    return sum((tree.others for tree in self.walk()), collections.Counter())

  def image_folders(self) -> dict[str, 'Tree']:
    """Returns the folders directly in this one that hold images at any depth."""
    return {name: tree for name, tree in self.folders.items() if tree.num_images}


def read(root: str) -> Tree:
  """Reads a folder and everything below it, without opening a file.

  Links are followed, except a link to a folder that contains the link. A broken link
  with the suffix of an image counts as an image, which will not decode.

  Raises:
    errors.UserError: A folder cannot be read.
  """
  real = os.path.realpath(root)
  return _read(root, real, (real,), set())


def _read(path: str, real: str, chain: tuple[str, ...], listed: set[str]) -> Tree:
  """Reads one folder.

  Args:
    path: The path that was followed; see `Tree`.
    real: The path without links; see `Tree`.
    chain: The real paths of the folders from the root to this one.
    listed: The real paths of all folders that were read for the same class. They are
      not read again, because links between the folders of a class could otherwise
      multiply without end.
  """
  tree = Tree(path, real)
  listed.add(real)
  for entry in _entries(path):
    target = os.path.realpath(entry.path) if entry.is_symlink() else (
        entry.path if path == real else f'{real.rstrip(os.sep)}{os.sep}{entry.name}')
    if _is_folder(entry):
      if any(_contains(target, folder) for folder in chain):
        tree.others['link to a parent folder'] += 1
      elif len(chain) > 2 and target in listed:
        tree.others['link to a folder of the same class'] += 1
      else:
        # A class folder is one or two levels below the root.
        below = listed if len(chain) > 2 else set()
        tree.folders[entry.name] = _read(entry.path, target, (*chain, target), below)
    elif kind := _kind(entry):
      tree.others[kind] += 1
    else:
      tree.files.append(File(entry.path, target))
  return tree


def _is_folder(entry: os.DirEntry) -> bool:
  # For a link, `os.path` returns False if the target cannot be reached.
  return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _entries(path: str) -> list[os.DirEntry]:
  """Lists the entries of a folder, sorted by name, without hidden ones."""
  try:
    with os.scandir(path) as entries:
      return sorted((e for e in entries if not e.name.startswith('.')),
                    key=lambda e: e.name)
  except OSError as e:
    raise errors.UserError(
        f'folder {path} cannot be read ({e.strerror}); make it readable, or move it '
        'out of the image folder') from e


def _contains(folder: str, path: str) -> bool:
  return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _kind(entry: os.DirEntry) -> str:
  """Names the kind of a file that is not an image; returns '' for an image."""
  is_image = entry.name.lower().endswith(SUFFIXES)
  regular = entry.is_file(follow_symlinks=False) or os.path.isfile(entry.path)
  if regular and is_image:
    return ''
  broken = not regular and entry.is_symlink() and not os.path.exists(entry.path)
  if not regular and not broken:
    mode = os.stat(entry.path).st_mode  # Such a file is not read: it might never end.
    return ('pipe' if stat.S_ISFIFO(mode) else
            'socket' if stat.S_ISSOCK(mode) else 'device')
  if is_image:
    return ''
  if suffix := os.path.splitext(entry.name)[1].lower():
    return f'file ending in {suffix}'
  # A broken link without a suffix may be a class folder whose disk is not mounted, so
  # the message names it.
  return f'link to nowhere ({entry.name})' if broken else 'file without a suffix'
