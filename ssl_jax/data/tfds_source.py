"""Reads image-classification data sets of TFDS without TensorFlow."""

import functools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from ssl_jax import errors
from ssl_jax.data import images, sources

PREPARABLE = ('cifar10', 'cifar100')
_NAME_KEYS = ('file_name', 'id')  # of ImageNet; of data sets written by `prepare`
_PART = 1024  # number of records read at once for their labels and names


class ExampleIndex(NamedTuple):
  """Holds the labels and file names of N examples.

  Attributes:
    labels: int32 [N].
    file_names: N names, or none if the data set has no names.
  """

  labels: np.ndarray
  file_names: list[str]


# A study opens one data set dozens of times, and it takes seconds to read the labels
# of CIFAR-10. The key is the folder, the split and the number of examples.
_index_cache: dict[tuple[str, str, int], ExampleIndex] = {}


class TfdsSource(images.EncodedImages):
  """A source that reads one split of a prepared TFDS data set.

  Args:
    builder: A builder from `find`.
    split: Name of a TFDS split, such as 'train'.
    image_size: See `images.EncodedImages`; also channels, max_bad_images and canvas.

  Raises:
    errors.UserError: The data set has no image feature, or its format needs
      TensorFlow.
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
    """Returns hashes of the metadata of TFDS.

    Labels and names are not hashed, because all records would have to be read.
    """
    return {'images': len(self), **self._fingerprint}

  @functools.cached_property
  def labels(self) -> np.ndarray:
    if not self._label:
      return np.full(len(self), -1, np.int32)
    return self._index().labels

  @property
  def partly_labelled(self) -> bool:
    return False  # All records have the same features.

  @property
  def file_names(self) -> list[str]:
    return self._index().file_names if self._name else super().file_names

  def _index(self) -> ExampleIndex:
    """Reads all records, because labels are stored together with images."""
    key = self._directory, self._split, len(self)
    if key not in _index_cache:
      labels, file_names = np.full(len(self), -1, np.int32), []
      for start in range(0, len(self), _PART):
        part = range(start, min(start + _PART, len(self)))
        examples = self._stored.__getitems__(part)
        if self._label:
          labels[part] = [x[self._label] for x in examples]
        if self._name:
          file_names += [os.path.basename(x[self._name].decode()) for x in examples]
      _index_cache[key] = ExampleIndex(labels, file_names)
    return _index_cache[key]

  def records(self, indices: np.ndarray) -> Iterator[images.Record]:
    stored = self._stored.__getitems__([int(i) for i in indices])
    for i, example in zip(indices, stored, strict=True):
      label = int(example[self._label]) if self._label else -1
      yield images.Record(example[self._image], label, f'{self.name}[{i}]')

  @functools.cached_property
  def _stored(self) -> Any:
    """Returns the examples of TFDS with encoded images."""
    builder = tfds.builder_from_directory(self._directory)
    try:
      return builder.as_data_source(
          self._split, decoders={self._image: tfds.decode.SkipDecoding()})
    except NotImplementedError as e:
      raise errors.UserError(
          f'{self._directory} is not in ArrayRecord form; prepare it again with '
          f'`{_how_to_prepare(builder.info.name)}`') from e

  def __getstate__(self) -> dict[str, Any]:
    """Excludes open files, because a worker process must open its own."""
    return {k: v for k, v in self.__dict__.items() if k != '_stored'}


def find(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
  """Finds a prepared TFDS data set.

  Args:
    name: A TFDS name, such as 'cifar10' or 'imagenet_resized/32x32:0.1.0'.
    data_dir: Folder of TFDS data sets; None is $TFDS_DATA_DIR, or TFDS' own default.

  Raises:
    errors.UserError: TFDS does not know the name, or the data set is not prepared.
  """
  where = data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
  where = os.path.expanduser(where)
  try:
    builder = tfds.builder(name, data_dir=where, try_gcs=False)
  except (ValueError, AssertionError):  # unknown name, version or spelling
    accepted = tfds.list_builders(with_community_datasets=False)
    raise errors.UserError(
        f'config.data.name is {name!r}, which is neither a data set in {where} nor '
        f'known to TFDS{errors.suggestion(name, [*accepted, "digits", "synthetic"])} '
        '(write an image folder as folder:/path)') from None
  if not builder.info.splits:
    raise errors.UserError(
        f'data set {name} is not in {where}; prepare it with '
        f'`{_how_to_prepare(name)}`, or set TFDS_DATA_DIR or config.data.data_dir to '
        'the folder that holds it')
  return builder


def splits(builder: tfds.core.DatasetBuilder) -> dict[str, str]:
  """Returns the names of TFDS' splits by the names of this library.

  If the test split is absent or has no labels, as in ImageNet, the validation split is
  the test split, as is usual in the literature. Other names, such as 'unlabelled', are
  the same.
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
  """Returns the names of the image feature and of the label feature, or None.

  Supervised keys are preferred.
  """
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
  """Returns the name of the feature that holds file names, or None."""
  features = builder.info.features
  return next((k for k in _NAME_KEYS if k in features
               and isinstance(features[k], tfds.features.Text)), None)


def _how_to_prepare(name: str) -> str:
  if name in PREPARABLE:
    return f'python -m ssl_jax.prepare_data --dataset={name}'
  return f'tfds build {name} --file_format=array_record'
