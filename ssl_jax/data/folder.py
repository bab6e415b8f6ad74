"""Reads image folders: with class folders, with split folders, or flat and unlabelled.
"""

import os
import pathlib

import numpy as np

from ssl_jax import errors
from ssl_jax.data import file_tree, scan_report, split_rules
from ssl_jax.data.scan_report import FileList


def scan(root: str, labelled: bool = True) -> dict[str, FileList]:
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
    labelled: Whether the names of folders are labels. Otherwise images at any depth
      have no labels; they are all `train`, unless the folders with images in `root`
      are `train` and other splits alone.

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
  if not labelled:
    listings = {split: _list_unlabelled(tree, report)
                for split, tree in _unlabelled_splits(top).items()}
    report.log(listings)
    return listings
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
  names = [name for name in folders if name.lower() in split_rules.NAMES]
  others = [name for name in folders if name not in names]
  found = {}
  for name in names:
    found.setdefault(split_rules.NAMES[name.lower()], []).append(name)
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


def _unlabelled_splits(top: file_tree.Tree) -> dict[str, file_tree.Tree]:
  """Returns the folder of every split; `top` is `train` if it holds anything else."""
  folders = top.image_folders()
  names = {split_rules.NAMES.get(name.lower(), '') for name in folders}
  if top.files or '' in names or 'train' not in names:
    return {'train': top}
  return _split_folders(top)


def _list_unlabelled(tree: file_tree.Tree, report: scan_report.ScanReport) -> FileList:
  """Lists all images below a folder, without labels."""
  report.leave_out_within(tree, ())
  paths = report.once(tree.images(), f'split {tree.path}')
  return FileList(tuple(paths), np.full(len(paths), -1, np.int32), ())


def _is_class(top: file_tree.Tree, names: list[str], others: list[str]) -> bool:
  """Returns whether a folder with the name `train` is one class of several."""
  return (len(names) == 1 and split_rules.NAMES[names[0].lower()] == 'train'
          and len(others) > 1 and not top.folders[names[0]].image_folders())


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
    inner = [name for name in tree.image_folders() if name.lower() in split_rules.NAMES]
    if len({split_rules.NAMES[name.lower()] for name in inner}) > 1:
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
        f'({next(iter(folders))}); keep one or the other, or use all images without '
        'labels by config.data.labelled=False')
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
  return {split: FileList(tuple(listing.paths[i] for i in indices),
                         listing.labels[indices], listing.class_names)
          for split, indices in split_rules.cut_test(listing.labels).items()}
