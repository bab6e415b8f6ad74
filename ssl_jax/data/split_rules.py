"""Decides which split and which class each of many images belongs to."""

import pathlib
import re
from collections.abc import Sequence

import numpy as np

from ssl_jax import errors
from ssl_jax.data import subsets

# Names of splits in folders, files and tables, in lower or upper case.
NAMES = {'train': 'train', 'training': 'train',
         'validation': 'validation', 'val': 'validation', 'valid': 'validation',
         'test': 'test', 'testing': 'test'}
_TEST_FRACTION = 0.2


def of_path(path: str) -> str:
  """Returns the split that the name of a file contains, or that of its folder; or ''.

  'train-00000-of-00002.parquet' and 'imagenet-train-0001.tar' are of `train`, and so is
  'train/0001.tar'.
  """
  for name in (pathlib.Path(path).name, pathlib.Path(path).parent.name):
    found = {NAMES[word] for word in re.split('[^a-z]+', name.lower()) if word in NAMES}
    if len(found) == 1:
      return found.pop()
  return ''


def class_ids(texts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
  """Converts the labels of N images to class ids.

  Args:
    texts: The name or number of the class of each image; '' or '-1' for an image
      without label.

  Returns:
    int32 [N], -1 without label, and the class names, sorted as numbers if all are
    whole numbers and as texts otherwise.
  """
  names = sorted({text for text in texts if text not in ('', '-1')})
  if all(re.fullmatch(r'\d+', name) for name in names):
    names.sort(key=int)
  ids = {name: i for i, name in enumerate(names)}
  return np.array([ids.get(text, -1) for text in texts], np.int32), tuple(names)


def cut_test(labels: np.ndarray) -> dict[str, np.ndarray]:
  """Cuts a fifth of every class as `test`, at random but always the same images.

  At least one image of a class stays in `train`, and so do all images without label.

  Args:
    labels: int32 [N], -1 without label.

  Returns:
    The indices of `train`, and of `test` unless no class has two images.
  """
  labelled = np.flatnonzero(labels >= 0)
  if not len(labelled) or np.bincount(labels[labelled]).max() < 2:
    return {'train': np.arange(len(labels))}
  _, test = subsets.split_validation(labels[labelled], _TEST_FRACTION)
  test = labelled[test]
  return {'train': np.setdiff1d(np.arange(len(labels)), test), 'test': test}


def divide(given: Sequence[str], labels: np.ndarray,
           name: str) -> dict[str, np.ndarray]:
  """Divides N images into splits.

  Images are divided as given, if `train` and another split are given. Otherwise all
  images are of one split, from which `cut_test` cuts.

  Args:
    given: The split of each image, a key of `NAMES` or '' for an unknown one.
    labels: int32 [N], -1 without label.
    name: Name of the data in messages.

  Returns:
    The indices of `train`, and of `validation` and `test` if they exist. Without
    `test`, `validation` is `test`.

  Raises:
    errors.UserError: Some images have a split and some have none, or `train` is not
      among several splits.
  """
  splits = np.array([NAMES[text.lower()] if text else '' for text in given])
  present = set(splits.tolist())
  if len(present) <= 1:
    return cut_test(labels)
  if '' in present:
    i = int(np.flatnonzero(splits == '')[0])
    raise errors.UserError(
        f'{name} has images of the split {sorted(present - {""})[0]} and images of no '
        f'split (image {i} is the first); give all of them a split, or none')
  if 'train' not in present:
    raise errors.UserError(f'{name} has the splits {" and ".join(sorted(present))}, '
                           'but no split train; add it, or give one split alone')
  found = {split: np.flatnonzero(splits == split)
           for split in ('train', 'validation', 'test') if split in present}
  if 'test' not in found:
    found['test'] = found.pop('validation')
  return found
