"""Writes the vectors of images with their file names to .npz, .csv or .parquet."""

import csv
import dataclasses
import importlib.util
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ssl_jax import errors


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
  """Vectors of N images.

  Attributes:
    features: float32 [N, D].
    file_names: N names, relative to the folder of the images. Images of data without
      file names have their index in the split.
    splits: N names of splits.
    labels: int32 [N], class ids; -1 for none.
    class_names: one name per class; () without labels.
    bad_images: names of the images that do not decode and have no vector.
    origin: what made the vectors, as plain values: 'encoder' (a path) and 'step'.
  """
  features: np.ndarray
  file_names: list[str]
  splits: list[str]
  labels: np.ndarray
  class_names: tuple[str, ...]
  bad_images: list[str]
  origin: dict[str, Any]

  @property
  def label_names(self) -> list[str]:
    """The name of the class of every image; '' for none."""
    return [self.class_names[i] if i >= 0 else '' for i in self.labels]


def check_path(path: pathlib.Path) -> None:
  """Checks that the format of a file is known and can be written.

  Raises:
    errors.UserError: the suffix is not accepted, or a library is missing.
  """
  if path.suffix not in FORMATS:
    raise errors.UserError(f'--output={path} ends in {path.suffix!r}; accepted are '
                           f'{", ".join(FORMATS)}')
  if path.suffix == '.parquet' and importlib.util.find_spec('pyarrow') is None:
    raise errors.UserError(
        f'--output={path} needs the package pyarrow, which is not installed; install '
        'it by `pip install pyarrow`, or give a name that ends in .npz or .csv')


def write(path: pathlib.Path, vectors: Vectors) -> None:
  """Writes vectors in the format of the suffix; only process 0 writes.

  * .npz holds `features` [N, D], `file_names`, `splits`, `labels` [N], `class_names`,
    `bad_images`, `encoder` and `step`. NumPy reads it without pickle.
  * .csv has the columns file_name, split, label (the name of the class, empty for
    none) and f0, f1, ... with 9 digits, which determine a float32.
  * .parquet has the columns file_name, split, label (null for none) and vector, a list
    of D float32. The metadata `ssl_jax` is JSON with 'encoder', 'step', 'class_names'
    and 'bad_images'.

  Args:
    path: the file, which is replaced atomically.
    vectors: its content.

  Raises:
    errors.UserError: see `check_path`.
  """
  check_path(path)
  if jax.process_index():
    return
  partial = path.with_name(path.name + '.partial')
  FORMATS[path.suffix](partial, vectors)
  os.replace(partial, path)


def _write_npz(path: pathlib.Path, vectors: Vectors) -> None:
  text = lambda names: np.array(names, np.str_)
  with path.open('wb') as f:
    np.savez(f, features=vectors.features, labels=vectors.labels,
             file_names=text(vectors.file_names), splits=text(vectors.splits),
             class_names=text(vectors.class_names), bad_images=text(vectors.bad_images),
             **{name: np.array(value) for name, value in vectors.origin.items()})


def _write_csv(path: pathlib.Path, vectors: Vectors) -> None:
  with path.open('w', newline='', encoding='utf-8') as f:
    writer = csv.writer(f)
    writer.writerow(['file_name', 'split', 'label',
                     *(f'f{i}' for i in range(vectors.features.shape[1]))])
    for *facts, vector in zip(vectors.file_names, vectors.splits, vectors.label_names,
                              vectors.features, strict=True):
      writer.writerow([*facts, *(f'{x:.9g}' for x in vector)])


def _write_parquet(path: pathlib.Path, vectors: Vectors) -> None:
  import pyarrow  # Not at the top: a program that writes no parquet does without it.
  from pyarrow import parquet
  width = vectors.features.shape[1]
  table = pyarrow.table({
      'file_name': vectors.file_names, 'split': vectors.splits,
      'label': pyarrow.array([name or None for name in vectors.label_names],
                             pyarrow.string()),
      'vector': pyarrow.FixedSizeListArray.from_arrays(
          pyarrow.array(vectors.features.ravel()), width)})
  facts = {**vectors.origin, 'class_names': vectors.class_names,
           'bad_images': vectors.bad_images}
  parquet.write_table(table.replace_schema_metadata({'ssl_jax': json.dumps(facts)}),
                      path)


FORMATS: dict[str, Callable[[pathlib.Path, Vectors], None]] = {
    '.npz': _write_npz, '.csv': _write_csv, '.parquet': _write_parquet}
