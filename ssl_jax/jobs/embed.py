"""Embeds all images of a folder, a list or a data set by a trained encoder."""

import csv
import pathlib
from collections.abc import Sequence

import jax
import numpy as np

from ssl_jax import errors
from ssl_jax.data import feed, sources
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import similar
from ssl_jax.evaluators import vectors as vectors_lib
from ssl_jax.jobs import downstream
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import processes
from ssl_jax.train import checkpoint as checkpoint_lib
from ssl_jax.train import counter
from ssl_jax.train import encoder as encoder_lib

_NAMED_AT_MOST = 20  # images that do not decode in the lines of `show`


def run(checkpoint: pathlib.Path | str, output: pathlib.Path, *,
        data: str | None = None, data_dir: str | None = None,
        endpoint: str = 'pooled', pool: str | int = 'mean',
        batch_size: int = 256) -> vectors_lib.Vectors:
  """Embeds every image of all splits once, and writes the vectors.

  Images that do not decode have no vector; they are named instead. All processes of a
  multi-host program must call this function, and all must see the same images.

  Args:
    checkpoint: the workdir of a run.
    output: the file; its suffix is a key of `vectors.FORMATS`.
    data: a name as in `datasets.DataConfig.NAMES`; None is the data set of the
      training.
    data_dir: folder of TFDS data sets; None is $TFDS_DATA_DIR.
    endpoint: name of the endpoint.
    pool: how a feature map becomes a vector; see `models.pooling.pooled`.
    batch_size: number of images that are encoded at once.

  Returns:
    What the file holds.

  Raises:
    errors.UserError: the encoder cannot be read, no image decodes, or an argument is
      not accepted.
  """
  mesh = mesh_lib.data_mesh()
  with processes.fail_together():
    vectors_lib.check_path(output)
  encoder = encoder_lib.load(checkpoint, mesh)
  with processes.fail_together():
    splits = _open(data, data_dir, encoder)
  processes.assert_equal_across_processes(
      {name: len(source) for name, source in splits.items()},
      'give every host the same files')
  batch_size = -(-max(1, batch_size) // mesh.size) * mesh.size
  parts, file_names, names_of_splits, bad = [], [], [], []
  for split, source in splits.items():
    batches = counter.counted(feed.eval_batches(source, batch_size, mesh), len(source),
                              batch_size)
    part = features_lib.extract(encoder.method.encode, encoder.variables, batches,
                                endpoint, pool)
    names = source.image_names
    parts.append(part)
    file_names += [names[i] for i in part.indices]
    names_of_splits += [split] * len(part.indices)
    bad += [names[i] for i in np.setdiff1d(np.arange(len(source)), part.indices)]
  if not file_names:
    raise errors.UserError(f'no image of {data} decodes ({bad[0]} is the first); give '
                           'another --data')
  whole = features_lib.concatenate(*parts)
  vectors = vectors_lib.Vectors(
      whole.features, file_names, names_of_splits, whole.labels,
      tuple(next(iter(splits.values())).class_names), bad,
      {'encoder': str(checkpoint_lib.locate(checkpoint)), 'step': encoder.step})
  vectors_lib.write(output, vectors)
  return vectors


def compare(vectors: vectors_lib.Vectors, output: pathlib.Path, *,
            near_duplicates: float | None = None,
            outliers: int | None = None) -> list[str]:
  """Writes near-duplicates and outliers among images to files next to `output`.

  For `vectors.npz`, `vectors_near_duplicates.csv` has the columns first, second (names
  of images) and similarity (the cosine of their vectors), and `vectors_outliers.csv`
  the columns file_name and similarity (the mean cosine to the five nearest images).
  Only process 0 writes.

  Args:
    vectors: the vectors and the names of the images.
    output: the file of the vectors.
    near_duplicates: the least cosine of a pair; None writes no pairs.
    outliers: number of outliers; None writes none.

  Returns:
    One line for each file.

  Raises:
    errors.UserError: a number is not accepted, or a vector is zero.
  """
  lines, names = [], vectors.file_names
  if jax.process_index():
    return lines
  if near_duplicates is not None:
    pairs = similar.near_duplicates(vectors.features, near_duplicates)
    path = output.with_name(f'{output.stem}_near_duplicates.csv')
    _write_csv(path, ('first', 'second', 'similarity'), [
        (names[i], names[j], f'{cosine:.6f}') for i, j, cosine in zip(
            *(column.tolist() for column in pairs), strict=True)])
    lines.append(f'{path}: {len(pairs.first):,} pairs of images with a cosine '
                 f'similarity of at least {near_duplicates}')
  if outliers is not None:
    chosen, cosines = similar.outliers(vectors.features, outliers)
    path = output.with_name(f'{output.stem}_outliers.csv')
    _write_csv(path, ('file_name', 'similarity'), [
        (names[i], f'{cosine:.6f}') for i, cosine in zip(
            chosen.tolist(), cosines.tolist(), strict=True)])
    lines.append(f'{path}: the {len(chosen):,} images that are least similar to their '
                 'nearest images')
  return lines


def _write_csv(path: pathlib.Path, header: Sequence[str],
               rows: Sequence[Sequence[str]]) -> None:
  with path.open('w', newline='', encoding='utf-8') as f:
    csv.writer(f).writerows([header, *rows])


def show(vectors: vectors_lib.Vectors, output: pathlib.Path) -> str:
  """Returns lines that say what a file of vectors holds and which images it lacks."""
  counts = ', '.join(f'{split} {vectors.splits.count(split):,}'
                     for split in dict.fromkeys(vectors.splits))
  number, width = vectors.features.shape
  classes = len(vectors.class_names)
  labels = f'labels of {classes} classes' if classes else 'no labels'
  lines = [f'{output}: {number:,} vectors of {width} numbers ({counts}; {labels})']
  if bad := vectors.bad_images:
    more = len(bad) - _NAMED_AT_MOST
    lines += [f'{len(bad)} images do not decode and have no vector:',
              *(f'  {name}' for name in bad[:_NAMED_AT_MOST]),
              *([f'  and {more} more'] if more > 0 else [])]
  return '\n'.join(lines)


def _open(data: str | None, data_dir: str | None,
          encoder: encoder_lib.TrainedEncoder) -> dict[str, sources.Source]:
  """Opens all splits of the data; nothing is held out, and no image is drawn."""
  own = {'name': data, 'data_dir': data_dir, 'validation_fraction': 0., 'subsample': 1.}
  splits = downstream.existing_splits(downstream.data_config(own, encoder), encoder)
  for source in splits.values():
    source.skip_bad_images()
  return splits
