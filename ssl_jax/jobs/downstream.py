"""Opens the images for a trained encoder: its own data, or those a config names."""

from collections.abc import Mapping
from typing import Any

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.data import datasets
from ssl_jax.train import encoder as encoder_lib

SPLITS = ('train', 'validation', 'test')
_ANY_SET = ('data_dir', 'image_size', 'canvas', 'channels', 'max_bad_images',
            'subsample')


def load_split(config: Mapping[str, Any], encoder: encoder_lib.TrainedEncoder,
               split: str) -> datasets.sources.Source | None:
  """Opens one split of what `data_fields` describes.

  Where the encoder resizes its views, images of any size do. The result is None for a
  validation split that neither is there nor should be cut from `train`.

  Raises:
    errors.UserError: the images do not fit the encoder.
  """
  data = data_fields(config, encoder)
  labels = data.pop('label_subset', None)
  try:
    source = datasets.load(split=split, **data,
                          label_subset=labels if split == 'train' else None)
  except errors.MissingSplit:
    if split == 'validation' and data.get('validation_fraction') == 0:
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


def require_labels(source: datasets.sources.Source) -> None:
  """Raises `errors.UserError` unless every image can have one label."""
  if not source.num_classes:
    raise errors.UserError(
        f'{source.name} has no labels, or several of an image as VOC 2007 has; a '
        'classifier needs one of each: name such a data set in config.data.name, or '
        'get the features alone by python -m ssl_jax.evaluate with '
        '--output=features.npz')


def data_fields(config: Mapping[str, Any], encoder: encoder_lib.TrainedEncoder
                ) -> dict[str, Any]:
  """The encoder's own data, with what `config.data` puts in its place.

  Another data set comes in the size and the channels that the encoder knows.
  """
  fields = inherit_fields(encoder.config['data'], config.get('data', {}))
  if fields['name'] != encoder.config['data']['name']:
    height, _, channels = encoder.image_shape
    fields = {'image_size': height, 'channels': channels} | fields
  return fields


def inherit_fields(theirs: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
  """Fields of the data that an encoder was trained on, and `own` in their place.

  Its label subset and validation split are of its training alone; of another data
  set's fields it only has those that any set has.
  """
  own = {k: v for k, v in own.items() if v is not None}
  same = own.get('name', theirs['name']) == theirs['name']
  kept = {k: v for k, v in theirs.items() if v is not None and (
      k not in ('label_subset', 'validation_fraction') if same else k in _ANY_SET)}
  return kept | own


def splits_there_are(config: Mapping[str, Any], encoder: encoder_lib.TrainedEncoder
                     ) -> dict[str, datasets.sources.Source]:
  """Opens all splits that a data set has; of one without labels nothing is held out.

  Raises:
    errors.UserError: it has none of `SPLITS`, or the images do not fit the encoder.
  """
  def opened(split):
    try:
      return load_split(config, encoder, split)
    except errors.MissingSplit:
      return None
  train = opened('train')
  if train is not None and not train.num_classes:
    config = config_lib.merge(config, {'data': {'validation_fraction': 0}})
    train = opened('train')
  splits = {'train': train, **{split: opened(split) for split in SPLITS[1:]}}
  if not any(splits.values()):
    load_split(config, encoder, 'train')  # raises which splits there are
  return {split: source for split, source in splits.items() if source is not None}


def view_settings(encoder: encoder_lib.TrainedEncoder) -> dict[str, Any]:
  """Size and normalisation of views, as the encoder knows them: of every policy."""
  known = encoder.config['augment']
  return {k: known[k] for k in ('size', 'mean', 'std') if k in known}
