"""Selects labelled subsets and validation splits, from labels or file names alone.

Functions take labels int32 [N] (-1 for an example without label) or file names. They
return sorted indices, so that a subset keeps the order of the data set; only `select`
may repeat them. Messages name a class by `class_names`, or by its label without them.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from ssl_jax import errors
from ssl_jax.data import notices, order


def by_fraction(labels: np.ndarray, fraction: float, seed: int = 0, *,
                class_names: Sequence[str] = ()) -> np.ndarray:
  """Draws the same fraction of every class at random.

  With the same seed, the 1 % subset is a part of the 10 % subset. So the choice of
  images adds less noise to comparisons of numbers of labels.

  Args:
    labels: int32 [N].
    fraction: The fraction, in (0, 1].
    seed: Seed of the choice.
    class_names: The names of the classes, for messages.

  Raises:
    errors.UserError: `fraction` is not in (0, 1], or no image of a class is left.
  """
  if not 0 < fraction <= 1:
    raise errors.UserError(
        f'config.data.label_subset.fraction is {fraction}; use a number above 0 and up '
        'to 1')

  def count(label: int, available: int) -> int:
    n = round(fraction * available)
    if not n:
      raise errors.UserError(
          f'config.data.label_subset.fraction is {fraction}, which leaves none of the '
          f'{available} images of class {_named(label, class_names)}; use at least '
          f'{1 / available:.2g}')
    return n

  return _draw(labels, count, seed)


def subsample(labels: np.ndarray, fraction: float, at_least: int = 20) -> np.ndarray:
  """Draws the same fraction of every class at random, to make a data set small.

  Every class keeps at least `at_least` examples, or all if it has fewer. Examples
  without label are treated as one more class.

  Args:
    labels: int32 [N].
    fraction: The fraction, in (0, 1].
    at_least: Least number of examples of a class.

  Raises:
    errors.UserError: `fraction` is not in (0, 1].
  """
  if not 0 < fraction <= 1:
    raise errors.UserError(f'config.data.subsample is {fraction}; use a '
                           'number above 0 and up to 1')

  def count(label: int, available: int) -> int:
    return min(available, max(at_least, round(fraction * available)))

  return _draw(labels - labels.min(), count, seed=0)


def per_class(labels: np.ndarray, k: int, seed: int = 0, *,
              class_names: Sequence[str] = ()) -> np.ndarray:
  """Draws `k` examples of every class at random.

  With the same seed, the subset of a smaller `k` is a part of that of a larger one.

  Args:
    labels: int32 [N].
    k: Number of examples of each class.
    seed: Seed of the choice.
    class_names: The names of the classes, for messages.

  Raises:
    errors.UserError: A class has fewer than `k` examples, or `k` < 1.
  """
  return _draw(labels, _exactly(k, 'per_class', class_names), seed)


def first_k(labels: np.ndarray, k: int, *,
            class_names: Sequence[str] = ()) -> np.ndarray:
  """Returns the first `k` examples of every class in file order.

  This is the rule of the semi-supervised experiments in RotNet's code (Gidaris et al.
  2018). It depends on the order of the files: `prepare_data` keeps that of the
  original release, while TFDS' own CIFAR is shuffled.

  Args:
    labels: int32 [N].
    k: Number of examples of each class.
    class_names: The names of the classes, for messages.

  Raises:
    errors.UserError: A class has fewer than `k` examples, or `k` < 1.
  """
  return _draw(labels, _exactly(k, 'first_k', class_names), seed=None)


def by_file_list(file_names: Sequence[str], path: str) -> np.ndarray:
  """Returns the examples whose file names are in a text file, one a line.

  google-research/simclr publishes the 1 % and 10 % of ImageNet of Chen et al. 2020
  (section 4.2) in this form: imagenet_subsets/1percent.txt and 10percent.txt. Their
  lines are names such as n01440764_10026.JPEG, in no order. Empty and repeated lines
  are ignored.

  Args:
    file_names: N names without folders; see `sources.Source`.
    path: Path of the list.

  Raises:
    errors.UserError: The list cannot be read, or one of its names belongs to none or
      several of the examples.
  """
  listed = _read_list(path)
  found = {}
  for i, name in enumerate(file_names):
    if name in listed and found.setdefault(name, i) != i:
      raise errors.UserError(
          f'{name}, which {path} lists, is the name of several images; rename them, or '
          'use another rule in config.data.label_subset')
  missing = [name for name in listed if name not in found]
  if missing:
    raise errors.UserError(
        f'{len(missing)} of the {len(listed)} file names in {path} are not among the '
        f'training images, for example {missing[0]!r}; use a list for this data set, '
        'and config.data.validation_fraction=0 if they were held out for validation')
  return np.sort(np.fromiter(found.values(), int, len(found)))


def split_validation(labels: np.ndarray, fraction: float, seed: int = 0, *,
                     class_names: Sequence[str] = (),
                     name: str = '') -> tuple[np.ndarray, np.ndarray]:
  """Divides examples into train and validation at random.

  The same fraction of every class is validation, but at least one example, and at
  least one stays in train. The only example of a class stays in train. Examples
  without label are treated as one more class.

  Args:
    labels: int32 [N].
    fraction: The fraction of every class that becomes validation, in (0, 1).
    seed: Seed of the choice.
    class_names: The names of the classes, for messages.
    name: The name of the data, for messages. With a name, a warning names the classes
      that have no validation example.

  Returns:
    The indices of train and of validation, which are disjoint and complete.

  Raises:
    errors.UserError: `fraction` is not in (0, 1), or no class has two examples.
  """
  if not 0 < fraction < 1:
    raise errors.UserError(
        f'config.data.validation_fraction is {fraction}; use a number between 0 and 1')
  whole = []

  def count(label: int, available: int) -> int:
    if available < 2:
      whole.append(label + labels.min())
      return 0
    return min(max(1, round(fraction * available)), available - 1)

  validation = _draw(labels - labels.min(), count, seed)
  if not len(validation):
    raise errors.UserError(
        f'{name or "the data set"} has one image in every class, too few to cut a '
        'validation split; add images, or set config.data.validation_fraction=0')
  if whole and name:
    names = [_named(label, class_names) for label in whole]
    notices.log_once(
        logging.WARNING, f'{name}: no validation image of class '
        f'{errors.listed(names, 3)}, whose only image stays in train')
  return np.setdiff1d(np.arange(len(labels)), validation), validation


def check(rule: Mapping[str, Any]) -> str:
  """Returns the name of a rule of `select`, after checks that need no data.

  Raises:
    errors.UserError: The rule is unknown, it has several names or none, or the list
      of files cannot be read.
  """
  for name in rule:
    errors.lookup('the rule in config.data.label_subset', name,
                  {**_RULES, 'seed': None, 'repeat': None})
  names = [name for name in rule if name in _RULES]
  if len(names) != 1:
    raise errors.UserError(
        f'config.data.label_subset is {dict(rule)}; give exactly one of '
        f'{", ".join(_RULES)}')
  name, = names
  if name in ('first_k', 'file_list') and 'seed' in rule:
    raise errors.UserError(
        f'config.data.label_subset.seed has no effect with {name}; remove it')
  if name == 'file_list' and rule[name] is not None:  # a config's placeholder
    _read_list(rule[name])
  return name


def select(labels: np.ndarray, rule: Mapping[str, Any],
           file_names: Sequence[str] = (), *,
           class_names: Sequence[str] = ()) -> np.ndarray:
  """Returns the subset of examples that a config names.

  Args:
    labels: int32 [N].
    rule: `{'fraction': 0.01}`, `{'per_class': 50}`, `{'first_k': 20}` or
      `{'file_list': '/path/1percent.txt'}`; the first two may also have a `'seed'`,
      which is 0 by default. With `'repeat': True`, the n examples of the subset are
      repeated until they are N (index i has example i mod n, as in RotNet's code), so
      that an epoch has as many steps as an epoch of the whole data set. By default, an
      epoch has every example once.
    file_names: Names of the examples, if the rule is 'file_list'.
    class_names: The names of the classes, for messages.

  Raises:
    errors.UserError: The rule is unknown, or the data cannot satisfy it.
  """
  name = check(rule)
  if name == 'file_list':
    chosen = by_file_list(file_names, rule[name])
  else:
    seed = {k: rule[k] for k in rule if k == 'seed'}
    chosen = _RULES[name](labels, rule[name], **seed, class_names=class_names)
  return np.resize(chosen, len(labels)) if rule.get('repeat') else chosen


_RULES = {'fraction': by_fraction, 'per_class': per_class, 'first_k': first_k,
          'file_list': by_file_list}


def _read_list(path: str | None) -> dict[str, None]:
  """Returns the names in a list, each once, in their order."""
  try:
    lines = pathlib.Path(str(path)).expanduser().read_text().splitlines()
  except (OSError, UnicodeError) as e:
    raise errors.UserError(
        f'config.data.label_subset.file_list is {path!r}, which cannot be read '
        f'({getattr(e, "strerror", None) or "it is not text"}); give the path of a '
        'text file with one file name a line') from e
  names = dict.fromkeys(line.strip() for line in lines if line.strip())
  if not names:
    raise errors.UserError(f'config.data.label_subset.file_list is {path!r}, which is '
                           'empty; it should have one file name a line')
  return names


def _named(label: int, class_names: Sequence[str]) -> str:
  """Returns the name of a class, or its label if it has no name."""
  return repr(class_names[label]) if class_names else str(label)


def _exactly(k: int, rule: str,
             class_names: Sequence[str]) -> Callable[[int, int], int]:
  """Returns the argument `count` of `_draw` for exactly `k` examples of each class."""
  def count(label: int, available: int) -> int:
    if not 1 <= k <= available:
      raise errors.UserError(
          f'config.data.label_subset.{rule} is {k}, but class '
          f'{_named(label, class_names)} has {available} images; use a number from 1 '
          f'to {available}')
    return k
  return count


def _draw(labels: np.ndarray, count: Callable[[int, int], int],
          seed: int | None) -> np.ndarray:
  """Draws `count(label, available)` examples of each label; the first if no seed."""
  drawn = []
  for label in np.unique(labels[labels >= 0]).tolist():
    members = np.flatnonzero(labels == label)
    n = count(label, len(members))
    if seed is not None:
      members = members[order.subset_permutation(len(members), seed, label)]
    drawn.append(members[:n])
  if not drawn:
    raise errors.UserError('no image of the data set has a label; remove '
                           'config.data.label_subset')
  return np.sort(np.concatenate(drawn))
