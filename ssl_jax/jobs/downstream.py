"""Opens the images for a trained encoder: its own data, or those a config names."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.data import datasets, notices
from ssl_jax.train import encoder as encoder_lib

SPLITS = ('train', 'validation', 'test')
_OF_EVERY_SET = ('data_dir', 'image_size', 'canvas', 'channels', 'max_bad_images',
                 'subsample')


def data_config(overrides: Mapping[str, Any],
                encoder: encoder_lib.TrainedEncoder) -> datasets.DataConfig:
  """Returns the data that the encoder was trained on, with some fields replaced.

  Args:
    overrides: plain fields of the section `data` that replace those of the training.
    encoder: its config has the fields of the training; see `data_fields`.

  Raises:
    errors.UserError: the fields contradict each other.
  """
  return config_lib.build(datasets.DataConfig, data_fields(overrides, encoder), 'data')


def load_split(data: datasets.DataConfig, encoder: encoder_lib.TrainedEncoder,
               split: str) -> datasets.sources.Source | None:
  """Opens one split of a data set for an encoder.

  If the encoder resizes its images, images of any size are accepted. A label subset
  applies to `train` only.

  Args:
    data: the data set; see `data_config`.
    encoder: determines which image shapes are accepted.
    split: 'train', 'validation' or 'test'.

  Returns:
    The split. None for a validation split that does not exist and is not taken out of
    `train`.

  Raises:
    errors.UserError: the encoder does not accept the shape of the images.
  """
  if split != 'train':
    data = dataclasses.replace(data, label_subset=None)
  try:
    source = datasets.open_split(data, split)
  except errors.MissingSplit:
    if split == 'validation' and data.validation_fraction == 0:
      return None
    raise
  shape, known = source.image_shape, encoder.image_shape
  resized = encoder.method.preprocess.size is not None
  if shape != known and not (resized and shape[2] == known[2]):
    field, value = (('channels', known[2]) if shape[2] != known[2] else
                    ('image_size', known[0]))
    raise errors.UserError(f'{source.name} has images {shape}, the encoder was trained '
                           f'on {known}; set config.data.{field}={value}')
  return source


def labelled_only(source: datasets.sources.Source | None
                  ) -> datasets.sources.Source | None:
  """Returns the labelled images of a split, and logs how many have no label.

  A split without any label, or without images (None), is returned unchanged.
  """
  if source is None or not source.partly_labelled:
    return source
  labelled = np.flatnonzero(source.labels >= 0)
  if not len(labelled):
    return source
  notices.log_once(
      logging.INFO, f'{source.name}: {len(source) - len(labelled)} of {len(source)} '
      'images have no label, so classifiers leave them out')
  return datasets.sources.subset(source, labelled, source.name)


def require_labels(source: datasets.sources.Source) -> None:
  """Raises `errors.UserError` unless every image can have one label."""
  if not source.num_classes:
    raise errors.UserError(
        f'{source.name} has no labels, or several for one image as in VOC 2007; a '
        'classifier needs one label for each image; set config.data.name to another '
        'data set, set config.data.labelled=True if the training did not use its '
        'labels, or write only the features, by python -m ssl_jax.evaluate with '
        '--output=features.npz')


def data_fields(overrides: Mapping[str, Any],
                encoder: encoder_lib.TrainedEncoder) -> dict[str, Any]:
  """Returns the plain fields of the encoder's data, with some fields replaced.

  If `overrides` names another data set, its images get the size and the channels of the
  encoder's training.

  Args:
    overrides: plain fields of the section `data` that replace those of the training.
    encoder: its config has the fields of the training.

  Raises:
    errors.UserError: the encoder is a file of weights, and `overrides` has no name.
  """
  fields = inherit_fields(encoder.config['data'], overrides)
  if fields.get('name') is None:
    raise errors.UserError(
        '--checkpoint is a file of weights, which does not name the images of its '
        'training; set --config.data.name=cifar10 or another data set (the flag of '
        'ssl_jax.embed is --data=folder:photos)')
  if fields['name'] != encoder.config['data']['name']:
    height, _, channels = encoder.image_shape
    fields = {'image_size': height, 'channels': channels} | fields
  return fields


def inherit_fields(trained_on: Mapping[str, Any],
                   overrides: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the fields of the data of an encoder's training, with some replaced.

  The label subset and the validation split of the training are not inherited. If
  `overrides` names another data set, only the fields are inherited that every data set
  has.

  Args:
    trained_on: plain fields of the section `data` of the encoder's config.
    overrides: plain fields that replace them; a field that is None replaces nothing.
  """
  overrides = {k: v for k, v in overrides.items() if v is not None}
  known = trained_on.get('name')
  same = overrides.get('name', known) == known
  kept = {k: v for k, v in trained_on.items() if v is not None and (
      k not in ('label_subset', 'validation_fraction') if same else k in _OF_EVERY_SET)}
  return kept | overrides


def existing_splits(data: datasets.DataConfig, encoder: encoder_lib.TrainedEncoder
                    ) -> dict[str, datasets.sources.Source]:
  """Opens all splits that a data set has.

  If the images have no labels, no validation split is taken out of `train`.

  Args:
    data: the data set; see `data_config`.
    encoder: determines which image shapes are accepted.

  Returns:
    The sources by the name of their split.

  Raises:
    errors.UserError: the data set has none of `SPLITS`, or the encoder does not accept
      the shape of its images.
  """
  def opened(split):
    try:
      return load_split(data, encoder, split)
    except errors.MissingSplit:
      return None
  train = opened('train')
  if train is not None and not train.num_classes:
    data = dataclasses.replace(data, validation_fraction=0.)
    train = opened('train')
  splits = {'train': train, **{split: opened(split) for split in SPLITS[1:]}}
  if not any(splits.values()):
    load_split(data, encoder, 'train')  # raises an error that names the splits
  return {split: source for split, source in splits.items() if source is not None}


def view_settings(encoder: encoder_lib.TrainedEncoder) -> dict[str, Any]:
  """Returns the size and the normalisation of the views of the encoder's training."""
  known = encoder.config['augment']
  return {k: known[k] for k in ('size', 'mean', 'std') if k in known}
