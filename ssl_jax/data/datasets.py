"""Opens the data set that a config names as a `Source`."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.data import (
    builtin,
    files,
    folder,
    images,
    notices,
    parquet,
    patterns,
    scan_report,
    sources,
    split_rules,
    subsets,
    tar,
    tfds_source,
    unlabelled,
)

FILE_SCHEMES = ('folder:', 'files:', 'tar:', 'parquet:')  # images may have any size
_SYNTHETIC_FIELDS = ('num_examples', 'num_classes', 'seed')
Openers = dict[str, Callable[[], sources.Source]]


@dataclasses.dataclass(frozen=True)
class LabelsConfig:
  """Selects the training images that have a label, by one of the first four rules."""
  fraction: float | None = config_lib.field(
      None, above=0, high=1, doc='The same fraction of every class, at random')
  per_class: int | None = config_lib.field(
      None, low=1, doc='The same number of images of every class, at random')
  first_k: int | None = config_lib.field(
      None, low=1, doc='Number of images of every class, the first ones in the order '
      'of the files')
  file_list: str | None = config_lib.field(
      None, doc='Path of a text file with one file name a line')
  seed: int | None = config_lib.field(
      None, low=0, high=2**32 - 1, doc='Seed of the random choice; None is 0')
  repeat: bool | None = config_lib.field(
      None, doc='Whether an epoch repeats the labelled images until there are as many '
      'as without the rule')

  @property
  def rule(self) -> dict[str, Any]:
    """The fields that are set, as `subsets.select` takes them."""
    return {name: value for name, value in vars(self).items() if value is not None}


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """A data set and how its images are read.

  None is the default that the description of the field states. An evaluation uses the
  data set of its encoder, so None is the encoder's value there.
  """
  NAMES: ClassVar[str] = (
      "A TFDS name such as 'cifar10'; 'folder:/path/to/images'; 'files:list.txt' with "
      "one path a line, or 'files:table.csv' (or .parquet) with the columns path, "
      "label (may be empty) and split (may be missing); "
      "'tar:shards/train-{0000..0003}.tar' of WebDataset; 'parquet:data/*.parquet' of "
      "Hugging Face; 'digits' or 'synthetic'")
  name: str = config_lib.field(doc=NAMES)
  data_dir: str | None = config_lib.field(
      None, doc='Folder of TFDS data sets; None is $TFDS_DATA_DIR')
  image_size: int | None = config_lib.field(
      None, low=1, doc='Side of the square images in pixels; None keeps their size, '
      'which must then be the same for all')
  canvas: bool = config_lib.field(
      False, doc='Whether images are not cropped but shrunk to fit a square of '
      'image_size; otherwise their centre square is cropped and resampled')
  labelled: bool = config_lib.field(
      True, doc='Whether labels are used; with False, sub-folders of a folder are not '
      'classes, and images at any depth are used')
  channels: int = config_lib.field(
      3, low=1, high=4, doc='3 (RGB), 1 (gray), 2 (gray and alpha) or 4 (RGB and '
      'alpha); images are converted')
  max_bad_images: int = config_lib.field(
      10, low=0, doc='Number of images that may fail to decode and are skipped')
  subsample: float = config_lib.field(
      1., above=0, high=1, doc='Fraction of every class of every split that is used '
      '(at least 20 images per class); for rehearsals')
  validation_fraction: float | None = config_lib.field(
      None, low=0, below=1, doc='Fraction of the training images that is held out for '
      'validation, if the data set has no such split; None is 0.1, and 0 for '
      'pre-training')
  split_seed: int = config_lib.field(
      0, low=0, high=2**32 - 1, doc='Seed of the choice of the validation images')
  label_subset: LabelsConfig | None = config_lib.section(
      LabelsConfig, optional=True, none_is_default=True)
  num_examples: int | None = config_lib.field(
      None, low=1, doc="Number of training images of 'synthetic'; None is 1024")
  num_classes: int | None = config_lib.field(
      None, low=2, doc="Number of classes of 'synthetic'; None is 4")
  seed: int | None = config_lib.field(
      None, low=0, high=2**32 - 1, doc="Seed of 'synthetic'; None is 0")

  def __post_init__(self):
    images.check_channels(self.channels)
    for field in _SYNTHETIC_FIELDS:
      if getattr(self, field) is not None and self.name not in (
          'synthetic', None):
        raise errors.UserError(
            f'config.data.{field} is {getattr(self, field)}, but only the data set '
            f"'synthetic' has this field, not {self.name!r}; remove it")
    if self.canvas and self.image_size is None:
      raise errors.UserError('config.data.canvas is True, but config.data.image_size, '
                             'the side of the canvas, is not set; 512 suits ImageNet')


def load(name: str, split: str = 'train', **fields: Any) -> sources.Source:
  """Opens one split of a data set by the name of the set.

  Args:
    name: See `DataConfig.NAMES`, `folder.scan`, `files.open_list`, `tar.index` and
      `parquet.columns`.
    split: As for `open_split`.
    **fields: Those of `DataConfig`.

  Raises:
    errors.UserError: As `open_split`, or a field is not accepted.
  """
  given = {k: v for k, v in fields.items() if v is not None}
  return open_split(config_lib.build(DataConfig, {'name': name, **given}, 'data'),
                    split)


def held_out(data: DataConfig, fraction: float) -> DataConfig:
  """Returns the data set with `fraction` for a validation fraction that is not set.

  Pre-training uses 0, because it does not use labels. An evaluation that takes a
  validation split out of `train` takes images that the encoder has seen unlabelled.
  """
  if data.validation_fraction is not None:
    return data
  return dataclasses.replace(data, validation_fraction=fraction)


def open_split(data: DataConfig, split: str) -> sources.Source:
  """Opens one split of a data set.

  If a data set has no validation split of its own, one is cut from `train`, with the
  same fraction of every class, and `train` has the remaining images. With
  `validation_fraction=0`, `train` has all images. With `canvas`, images are at the top
  left of a square; batches have their sizes, and views are cropped from that part.
  (Images of 'digits' and 'synthetic' fill the square.)

  Args:
    data: The data set; `label_subset` selects images of `train`, after the cut, see
      `subsets.select`.
    split: 'train', 'validation', 'test', or another split of a TFDS data set.

  Raises:
    errors.UserError: In one sentence: no such data set (and how to get it), no
      such split, an empty or mislabelled folder.
  """
  labels = data.label_subset and data.label_subset.rule
  if labels is not None and split != 'train':
    raise errors.UserError(
        f'config.data.label_subset selects training images; remove it for {split!r}')
  native = _native(data)
  if not data.labelled:
    native = {k: lambda full=full: unlabelled.hide_labels(full())
              for k, full in native.items()}
  if data.subsample != 1:
    native = {k: lambda full=full: _subsampled(full(), data.subsample)
              for k, full in native.items()}
  fraction = data.validation_fraction
  source = _open(native, data.name, split, 0.1 if fraction is None else fraction,
                 data.split_seed)
  if labels is not None:
    names = source.file_names if 'file_list' in labels else ()
    chosen = subsets.select(source.labels, labels, names,
                            class_names=source.class_names)
    source = sources.subset(source, chosen, source.name)
  return source


def _native(data: DataConfig) -> Openers:
  """Returns a function for each split of a data set that opens it.

  A validation split that is cut from `train` is not among them.
  """
  how = dict(image_size=data.image_size, channels=data.channels,
             max_bad_images=data.max_bad_images, canvas=data.canvas)
  scheme, colon, path = data.name.partition(':')
  if f'{scheme}{colon}' == 'folder:':
    return _folder(path, data.labelled, **how)
  if f'{scheme}{colon}' in FILE_SCHEMES:
    return _divided(*_open_files(scheme, path, data.name, **how), data.labelled)
  if data.name == 'digits':
    arrays = builtin.digits(data.image_size, data.channels)
    return {k: lambda k=k: arrays[k] for k in arrays}
  if data.name == 'synthetic':
    own = {k: v for k in _SYNTHETIC_FIELDS if (v := getattr(data, k)) is not None}
    return {k: lambda k=k: builtin.synthetic(k, data.image_size, data.channels, **own)
            for k in ('train', 'test')}
  return _tfds(data.name, data.data_dir, **how)


def check(section: Mapping[str, Any]) -> None:
  """Checks the rule of the section `data` of a config, and reads its list of files.

  Raises:
    errors.UserError: there is no such rule, or its file cannot be read.
  """
  if labels := section.get('label_subset'):
    subsets.check(labels)


def _open(native: Openers, name: str, split: str, fraction: float,
          seed: int) -> sources.Source:
  """Opens a split of `native`, or divides `train` into train and validation."""
  cut = 'train' in native and 'validation' not in native and fraction != 0
  if split in native and not (cut and split == 'train'):
    return native[split]()
  if cut and split in ('train', 'validation'):
    whole = native['train']()
    train, validation = subsets.split_validation(
        whole.labels, fraction, seed, class_names=whole.class_names, name=whole.name)
    indices = train if split == 'train' else validation
    return sources.subset(whole, indices, f'{name}/{split}')
  accepted = sorted({*native, 'validation'} if cut else native)
  raise errors.MissingSplit(
      f'{name} has no split {split!r}; it has {", ".join(accepted)}'
      f'{errors.suggestion(split, accepted)}'
      + ('; config.data.validation_fraction=0.1 cuts one from train'
         if split == 'validation' and 'train' in native else ''))


def _subsampled(source: sources.Source, fraction: float) -> sources.Source:
  return sources.subset(source, subsets.subsample(source.labels, fraction), source.name)


def _folder(root: str, labelled: bool, **how: Any) -> Openers:
  top = os.path.expanduser(root)
  names = lambda listing: [os.path.relpath(path, top) for path in listing.paths]
  return {split: lambda split=split, listing=listing: files.Files(
              listing, f'{root}/{split}', names(listing), **how)
          for split, listing in folder.scan(root, labelled).items()}


def _open_files(scheme: str, path: str, name: str,
                **how: Any) -> tuple[sources.Source, Sequence[str]]:
  """Opens all images of a list or of shards, and returns the split of each."""
  if scheme == 'files':
    return files.open_list(path, name, **how)
  library = {'tar': tar.Tar, 'parquet': parquet.Parquet}[scheme]
  source = library(patterns.files(path, f'.{scheme}', f'{scheme}:'), name, **how)
  return source, source.splits


def _divided(whole: sources.Source, given: Sequence[str], labelled: bool) -> Openers:
  """Divides images into splits, and logs how many each has."""
  labels = whole.labels if labelled else np.full(len(whole), -1, np.int32)
  found = split_rules.divide(given, labels, whole.name)
  missing = int((labels < 0).sum())
  some = f'; {missing} of them have no label' if 0 < missing < len(whole) else ''
  classes = whole.num_classes if labelled else 0
  sizes = {split: len(indices) for split, indices in found.items()}
  notices.log_once(logging.INFO,
                   f'{whole.name}: {scan_report.summary(sizes, classes)}{some}')
  return {split: lambda split=split, indices=indices: sources.subset(
              whole, indices, f'{whole.name}/{split}')
          for split, indices in found.items()}


def _tfds(name: str, data_dir: str | None, **how: Any) -> Openers:
  builder = tfds_source.find(name, data_dir)
  return {name: lambda split=split: tfds_source.TfdsSource(builder, split, **how)
          for name, split in tfds_source.splits(builder).items()}
