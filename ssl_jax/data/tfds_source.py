"""TFDS image-classification data sets, read without TensorFlow."""

import functools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from ssl_jax import errors
from ssl_jax.data import images, sources

PREPARABLE = ('cifar10', 'cifar100')
_NAME_KEYS = ('file_name', 'id')  # ImageNet's; a path, where `prepare` made it
_PART = 1024  # records read at a time when labels and names alone are wanted


class ExampleIndex(NamedTuple):
  """Holds the labels and file names of examples."""

  labels: np.ndarray        # int32 [N]
  file_names: list[str]     # N, or none at all


# A study opens one set dozens of times; CIFAR-10's labels take seconds to read.
_catalogues: dict[tuple[str, str, int], ExampleIndex] = {}


class TfdsSource(images.EncodedImages):
  """One split of a prepared TFDS data set; see `images.Encoded`.

  Args:
    builder: As `find` returns it.
    split: A TFDS split, 'train'.
    image_size: See `images.Encoded`; channels, max_bad_images and canvas too.

  Raises:
    errors.UserError: It has no image feature, or is stored in a format that
      only TensorFlow reads.
  """

  def __init__(self, builder: tfds.core.DatasetBuilder, split: str, *,
               image_size: int | None, channels: int, max_bad_images: int,
               canvas: bool = False):
    name = f'{builder.info.name}/{split}'
    self._directory, self._split = str(builder.data_path), split
    self._image, self._label = _feature_keys(builder, name)
    self._name = _text_key(builder)
    info = builder.info.splits[split]
    self._length = info.num_examples
    self._fingerprint = {
        'version': str(builder.info.version), 'bytes': int(info.num_bytes),
        'shards': sources.digest(str(info.shard_lengths).encode())}
    names = builder.info.features[self._label].names if self._label else ()
    super().__init__(name, tuple(names), image_size, channels, max_bad_images, canvas)

  def __len__(self) -> int:
    return self._length

  @property
  def fingerprint(self) -> dict[str, int | str]:
    """Returns what TFDS has recorded; labels and names would need all records."""
    return {'images': len(self), **self._fingerprint}

  @functools.cached_property
  def labels(self) -> np.ndarray:
    if not self._label:
      return np.full(len(self), -1, np.int32)
    return self._catalogue().labels

  @property
  def file_names(self) -> list[str]:
    return self._catalogue().file_names if self._name else super().file_names

  def _catalogue(self) -> ExampleIndex:
    """Reads all records, as their images lie between the labels."""
    key = self._directory, self._split, len(self)
    if key not in _catalogues:
      labels, file_names = np.full(len(self), -1, np.int32), []
      for start in range(0, len(self), _PART):
        part = range(start, min(start + _PART, len(self)))
        examples = self._stored.__getitems__(part)
        if self._label:
          labels[part] = [x[self._label] for x in examples]
        if self._name:
          file_names += [os.path.basename(x[self._name].decode()) for x in examples]
      _catalogues[key] = ExampleIndex(labels, file_names)
    return _catalogues[key]

  def records(self, indices: np.ndarray) -> Iterator[images.Record]:
    stored = self._stored.__getitems__([int(i) for i in indices])
    for i, example in zip(indices, stored, strict=True):
      label = int(example[self._label]) if self._label else -1
      yield images.Record(example[self._image], label, f'{self.name}[{i}]')

  @functools.cached_property
  def _stored(self) -> Any:
    """Examples with their images still encoded."""
    builder = tfds.builder_from_directory(self._directory)
    try:
      return builder.as_data_source(
          self._split, decoders={self._image: tfds.decode.SkipDecoding()})
    except NotImplementedError as e:
      raise errors.UserError(
          f'{self._directory} is not in ArrayRecord form; prepare it again with '
          f'`{_how_to_prepare(builder.info.name)}`') from e

  def __getstate__(self) -> dict[str, Any]:
    """Leaves open files behind: a worker process opens its own."""
    return {k: v for k, v in self.__dict__.items() if k != '_stored'}


def find(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
  """Finds a prepared TFDS data set.

  Args:
    name: A TFDS name, 'cifar10' or 'imagenet_resized/32x32:0.1.0'.
    data_dir: Folder of data sets; None is $TFDS_DATA_DIR, or TFDS' own default.

  Raises:
    errors.UserError: Not a TFDS name, or its data are not there.
  """
  where = data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  where = os.path.expanduser(where)
  try:
    builder = tfds.builder(name, data_dir=where, try_gcs=False)
  except (ValueError, AssertionError):  # unknown name, version or spelling
    accepted = tfds.list_builders(with_community_datasets=False)
    raise errors.UserError(
        f'config.data.name is {name!r}, not a data set in {where} nor known to '
        f'TFDS{errors.suggestion(name, [*accepted, "digits", "synthetic"])} (an image '
        'folder is written folder:/path)') from None
  if not builder.info.splits:
    raise errors.UserError(
        f'data set {name} is not in {where}: get it with `{_how_to_prepare(name)}`, '
        'or point TFDS_DATA_DIR or config.data.data_dir to where it is')
  return builder


def splits(builder: tfds.core.DatasetBuilder) -> dict[str, str]:
  """Our names of the splits -> TFDS'.

  A set whose test split is absent or has no labels (ImageNet) is tested on its
  validation split, as everybody does. Other names ('unlabelled') stay.
  """
  names = {name: name for name in builder.info.splits}
  if 'validation' in names and not _has_labels(builder, 'test'):
    names['test'] = names.pop('validation')
  return names


def _has_labels(builder: tfds.core.DatasetBuilder, split: str) -> bool:
  if split not in builder.info.splits:
    return False
  records = TfdsSource(builder, split, image_size=1, channels=3, max_bad_images=0)
  first, = records.records(np.array([0]))
  return first.label >= 0


def _feature_keys(builder: tfds.core.DatasetBuilder,
                  name: str) -> tuple[str, str | None]:
  """Names of the image feature and of the label; supervised keys come first."""
  features = builder.info.features
  supervised = builder.info.supervised_keys or ()
  keys = [*(k for k in supervised if isinstance(k, str)), *features]
  image = [k for k in keys if isinstance(features[k], tfds.features.Image)]
  label = [k for k in keys if isinstance(features[k], tfds.features.ClassLabel)]
  if not image:
    raise errors.UserError(f'{name} is not an image data set; its features are '
                           f'{", ".join(features)}')
  return image[0], label[0] if label else None


def _text_key(builder: tfds.core.DatasetBuilder) -> str | None:
  """Name of the feature that holds file names."""
  features = builder.info.features
  return next((k for k in _NAME_KEYS if k in features
               and isinstance(features[k], tfds.features.Text)), None)


def _how_to_prepare(name: str) -> str:
  if name in PREPARABLE:
    return f'python -m ssl_jax.prepare_data --dataset={name}'
  return f'tfds build {name} --file_format=array_record'
