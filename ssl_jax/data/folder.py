"""Reads image folders: with class folders, with split folders, or flat and unlabelled.
"""

import os
import pathlib
from collections.abc import Iterator

import numpy as np

from ssl_jax import errors
from ssl_jax.data import file_tree, images, scan_report, subsets
from ssl_jax.data.scan_report import FileList

# Names of split folders, in lower or upper case.
_SPLITS = {'train': 'train', 'training': 'train',
           'validation': 'validation', 'val': 'validation', 'valid': 'validation',
           'test': 'test', 'testing': 'test'}
_TEST_FRACTION = 0.2


class Folder(images.EncodedImages):
  """A source of images in separate files.

  Args:
    listing: The files and their labels.
    name: Name of the data in messages.
    image_size: See `images.EncodedImages`; also channels, max_bad_images and canvas.
  """

  def __init__(self, listing: FileList, name: str, *, image_size: int | None,
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
        data = images.read_file(self.paths[i])
      except images.BadImage as e:
        yield images.Record(b'', self.labels[i], self.paths[i], e)
      else:
        yield images.Record(data, self.labels[i], self.paths[i])


def scan(root: str) -> dict[str, FileList]:
  """Lists the images of every split of a folder, sorted by class and path.

  A folder has one of three layouts:

  * Splits: `root/train/cat/1.png`. Next to `train`, the folders `test` and `val` are
    optional. `validation` and `valid` are other names of `val`, `training` of `train`,
    and `testing` of `test`. Without `test`, `val` is the test split, as in ILSVRC:
    `val/n01440764/*.JPEG`. A split may also hold loose images instead of class
    folders; these have no labels.
  * Classes: `root/cat/1.png`. A fixed fifth of every class becomes `test`; the only
    image of a class stays in `train`.
  * Flat: `root/1.png`. All images are `train`, and they have no labels.

  Folders with the names of splits are splits if no other folder next to them holds
  images, or if `train` and another one of them hold the same classes. `train` is a
  class if it holds loose images and is next to two or more other folders, as in
  `{airplane,bus,train}`. Every other mixture is an error.

  A class folder may hold further folders, whose images belong to the class. Images
  are files with a suffix in `file_tree.SUFFIXES`, in lower or upper case. Hidden
  files are ignored. Links are followed. A file is listed once in a class, even if
  several links lead to it. Folders without images, links to a parent folder and other
  files are left out. One log line per process and folder gives the numbers of images
  and classes, and what is left out.

  Args:
    root: The path of the folder.

  Returns:
    The files of `train`, and of `validation` and `test` if they exist. A class
    folder of `test` or `validation` may be empty or missing.

  Raises:
    errors.UserError: The folder does not exist, it has no images, its layout can be
      read in two ways, it has loose images next to class folders, a split has a class
      that `train` does not have, or one file is in two classes or two splits.
  """
  path = str(pathlib.Path(root).expanduser())
  if not os.path.isdir(path):
    raise errors.UserError(f'image folder {root} does not exist; give the path of '
                           'a folder that holds one sub-folder of images per class')
  top = file_tree.read(path)
  if not top.num_images:
    raise errors.UserError(
        f'image folder {path} is empty{_and_others(top)}; images end in '
        f'{", ".join(file_tree.SUFFIXES)}')
  report = scan_report.ScanReport(path)
  trees = _split_folders(top)
  if trees:
    report.leave_out_beside(top, list(trees.values()))
    listings = _list_splits(trees, report)
  else:
    _check_no_splits_within(top)
    listings = _cut_test(_list(top, None, report), path)
  report.log(listings)
  return listings


def _and_others(top: file_tree.Tree) -> str:
  others = scan_report.counts(top.count_others())
  return f' except for {others}' if others else ''


def _split_folders(top: file_tree.Tree) -> dict[str, file_tree.Tree]:
  """Returns the folder of every split, or {} if `top` holds classes or loose images.

  Raises:
    errors.UserError: Both are possible, `train` is missing, or two folders are the
      same split.
  """
  folders = top.image_folders()
  names = [name for name in folders if name.lower() in _SPLITS]
  others = [name for name in folders if name not in names]
  found = {}
  for name in names:
    found.setdefault(_SPLITS[name.lower()], []).append(name)
  if not names or _is_class(top, names, others):
    return {}
  splits = {split: folders[same[0]] for split, same in found.items()}
  if others and not _same_classes(splits):
    kinds = 'a split or a class' if len(names) == 1 else 'splits or classes'
    raise errors.UserError(
        f'image folder {top.path} can be read in two ways: {scan_report.listed(names)} '
        f'may be {kinds}, next to {scan_report.listed(others)}; for splits, leave only '
        'train, val and test in it; for classes, move all class folders into a new '
        'folder in it with the name train')
  if 'train' not in found:
    raise errors.UserError(
        f'image folder {top.path} has no folder train with images next to '
        f'{scan_report.listed(names)}; add it, or give the path of one of them')
  for split, same in found.items():
    if len(same) > 1:
      raise errors.UserError(
          f'image folder {top.path} has several folders for the split {split}: '
          f'{scan_report.listed(same)}; keep one of them')
  if 'test' not in splits and 'validation' in splits:
    splits['test'] = splits.pop('validation')
  return splits


def _is_class(top: file_tree.Tree, names: list[str], others: list[str]) -> bool:
  """Returns whether a folder with the name `train` is one class of several."""
  return (len(names) == 1 and _SPLITS[names[0].lower()] == 'train' and len(others) > 1
          and not top.folders[names[0]].image_folders())


def _same_classes(splits: dict[str, file_tree.Tree]) -> bool:
  """Returns whether `train` and another split have a class folder in common."""
  classes = {split: set(tree.image_folders()) for split, tree in splits.items()}
  train = classes.pop('train', set())
  return any(train & other for other in classes.values())


def _check_no_splits_within(top: file_tree.Tree) -> None:
  """Raises `errors.UserError` for `cat/train` and `cat/test`.

  Otherwise test images of such a folder would become training images.
  """
  for tree in top.image_folders().values():
    inner = [name for name in tree.image_folders() if name.lower() in _SPLITS]
    if len({_SPLITS[name.lower()] for name in inner}) > 1:
      raise errors.UserError(
          f'folder {tree.path} holds {scan_report.listed(inner)}, whose images would '
          f'all be of the class {os.path.basename(tree.path)}; give the path '
          f'{tree.path}, or put class folders into split folders, as in '
          f'{os.path.join("train", os.path.basename(tree.path))}')


def _list_splits(trees: dict[str, file_tree.Tree],
                 report: scan_report.ScanReport) -> dict[str, FileList]:
  """Lists the files of every split, with labels by the classes of `train`."""
  listings = {'train': _list(trees['train'], None, report)}
  for split in ('validation', 'test'):
    if split in trees:
      listings[split] = _list(trees[split], listings['train'].class_names, report)
  return listings


def _list(tree: file_tree.Tree, classes: tuple[str, ...] | None,
          report: scan_report.ScanReport) -> FileList:
  """Lists the files of loose images or of class folders.

  Args:
    tree: A split, or the whole image folder.
    classes: The classes of `train` in the order of their labels; None for `train`.
    report: Records what is left out, and the place of every file.
  """
  folders = tree.image_folders()
  if tree.files and folders:
    raise errors.UserError(
        f'image folder {tree.path} is mislabelled: it has loose images '
        f'({os.path.basename(tree.files[0].path)}) next to class folders '
        f'({next(iter(folders))}); keep one or the other')
  if tree.files and classes:
    name = os.path.basename(tree.files[0].path)
    raise errors.UserError(
        f'image folder {tree.path} has loose images ({name}), but train has a folder '
        'for each class; move every image to the folder of its class here too, as in '
        f'{os.path.join(tree.path, classes[0], name)}')
  report.leave_out_within(tree, classes or ())
  if tree.files:
    paths = report.once(tree.files, f'split {tree.path}')
    return FileList(tuple(paths), np.full(len(paths), -1, np.int32), ())
  names, paths, labels = classes or tuple(folders), [], []
  for name, folder in folders.items():
    if name.encode(errors='ignore').decode() != name:  # A report could not be written.
      raise errors.UserError(f'class folder {folder.path!r} has a name that is not '
                             'UTF-8 text; rename it')
    if name not in names:
      raise errors.UserError(
          f'class folder {folder.path} has no counterpart with images in train; its '
          f'classes are {", ".join(names)}{errors.suggestion(name, names)}')
    of_class = report.once(folder.images(), f'class {folder.path}')
    paths += of_class
    labels += [names.index(name)] * len(of_class)
  return FileList(tuple(paths), np.array(labels, np.int32), names)


def _cut_test(listing: FileList, path: str) -> dict[str, FileList]:
  """Cuts a test split from a folder of classes; unlabelled images all stay in train."""
  if not listing.class_names:
    return {'train': listing}
  if np.bincount(listing.labels).max() < 2:
    raise errors.UserError(
        f'image folder {path} has one image in every class, too few to cut a test '
        'split; add images, or make sub-folders train and test')
  train, test = subsets.split_validation(listing.labels, _TEST_FRACTION)
  return {split: FileList(tuple(listing.paths[i] for i in indices),
                         listing.labels[indices], listing.class_names)
          for split, indices in (('train', train), ('test', test))}
