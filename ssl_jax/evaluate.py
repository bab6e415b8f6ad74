"""Measures a trained encoder: kNN, 1-NN, linear probe, logistic regression.

    python -m ssl_jax.evaluate --checkpoint=runs/simclr --config=configs/evaluate.py:knn
    python -m ssl_jax.evaluate --checkpoint=runs/simclr --output=features.npz

The encoder is asked for features and for nothing else, so it cannot change
here. Probes with augmentation are ssl_jax.linear_probe, and ssl_jax.finetune trains
the encoder further; `classifier` measures what either of them made.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
from absl import flags, logging
from ml_collections import config_flags

from ssl_jax import app, errors, evaluators
from ssl_jax import config as config_lib
from ssl_jax import workdir as workdir_lib
from ssl_jax.augment import policies
from ssl_jax.data import feed, sources
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import rotation
from ssl_jax.train import checkpoint as checkpoint_lib
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import mesh as mesh_lib

SPLITS = ('train', 'validation', 'test')
_ANY_SET = ('data_dir', 'image_size', 'canvas', 'channels', 'max_bad_images',
            'examples_fraction')


@dataclasses.dataclass(frozen=True)
class Splits:
  """What evaluators are given of a data set, and the names of its classes."""
  train: features_lib.Features
  validation: features_lib.Features | None  # None where there is no such split
  test: features_lib.Features
  class_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FeaturesConfig:
  """Which features; see evaluators.features.extract."""
  endpoint: str = 'pooled'
  pool: str | int = 'mean'
  batch_size: int = 512        # rounded up to a multiple of the devices


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong whatever the encoder is."""
  protocol = dict(config.get('protocol', {}))
  cls = errors.choose('config.protocol.name', protocol.pop('name', ''),
                      evaluators.EVALUATORS)
  config_lib.build(cls, protocol, 'protocol')
  config_lib.build(FeaturesConfig, config.get('features', {}), 'features')
  policies.build('none', **config.get('preprocess', {}))
  sources.check(config.get('data', {}))


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str,
        extracted: dict[str, Splits] | None = None) -> dict[str, Any]:
  """Evaluates by `config.protocol`; returns and writes what result.json holds.

  Several protocols on one encoder may share what they extract: give them one dict,
  empty at first, as `extracted`.
  """
  config = config_lib.plain(config)
  check(config)
  checkpoint = checkpoint_lib.locate(checkpoint)  # before a folder is made in it
  workdir = workdir_lib.writable(workdir)
  if (done := workdir_lib.finished(workdir, config)) is not None:
    return done
  started = time.monotonic()
  mesh = mesh_lib.data_mesh()
  encoder = _preprocessing(config, encoder_lib.load(checkpoint, mesh))
  extracted = {} if extracted is None else extracted
  key = json.dumps([*map(config.get, ('features', 'preprocess', 'data')),
                    _turns(config, encoder)])
  if key not in extracted:
    extracted[key] = _splits(config, encoder, mesh)
  splits = extracted[key]
  protocol = dict(config['protocol'])
  evaluator = config_lib.build(evaluators.EVALUATORS[protocol.pop('name')], protocol,
                               'protocol')
  result = evaluator(splits.train, splits.validation, splits.test,
                     len(splits.class_names))
  result |= {'class_names': list(splits.class_names), 'step': encoder.step,
             'seconds': time.monotonic() - started, **workdir_lib.provenance()}
  workdir_lib.write_result(workdir, config, result)
  return result


def _preprocessing(config: Mapping[str, Any],
                   encoder: encoder_lib.Encoder) -> encoder_lib.Encoder:
  """The encoder, with `config.preprocess` for how it is shown images."""
  if not (own := config.get('preprocess')):
    return encoder
  policy = policies.build('none', **{**frame(encoder), **own})
  return dataclasses.replace(
      encoder, method=dataclasses.replace(encoder.method, preprocess=policy))


def frame(encoder: encoder_lib.Encoder) -> dict[str, Any]:
  """Size and normalisation of views, as the encoder knows them: of every policy."""
  known = encoder.config['augment']
  return {k: known[k] for k in ('size', 'mean', 'std') if k in known}


def _splits(config: Mapping[str, Any], encoder: encoder_lib.Encoder,
            mesh: jax.sharding.Mesh) -> Splits:
  turns, loaded = _turns(config, encoder), load_splits(config, encoder)
  if not turns:
    require_labels(loaded['train'])
  names = rotation.names(turns) if turns else loaded['train'].class_names
  return Splits(**extract(config, encoder, mesh, loaded), class_names=tuple(names))


def extract(config: Mapping[str, Any], encoder: encoder_lib.Encoder,
            mesh: jax.sharding.Mesh,
            splits: Mapping[str, sources.base.Source | None]
            ) -> dict[str, features_lib.Features | None]:
  """Features of every split; None where there is no such split."""
  wanted = config_lib.build(FeaturesConfig, config.get('features', {}), 'features')
  batch_size = -(-wanted.batch_size // mesh.size) * mesh.size
  turns, found = _turns(config, encoder), {}
  logging.info('Encoding images: %s', ', '.join(
      f'{source.name} {len(source):,}' for source in splits.values() if source))
  for split, source in splits.items():
    if source is None:
      found[split] = None
      continue
    batches = feed.eval_batches(source, batch_size, mesh)
    if turns:
      batches = rotation.expand(batches, turns)
    found[split] = features_lib.extract(encoder.method.encode, encoder.variables,
                                        batches, wanted.endpoint, wanted.pool)
  return found


def _turns(config: Mapping[str, Any], encoder: encoder_lib.Encoder) -> tuple[int, ...]:
  """The quarter turns that are told apart; none where classes are, as usual."""
  if config.get('protocol', {}).get('name') != 'rotation':
    return ()
  if not hasattr(encoder.method, 'turns'):
    raise errors.UserError(
        "config.protocol.name is 'rotation', but this encoder was trained with "
        f"{encoder.config['method']['name']!r}; rotations are told apart by 'rotnet'")
  return encoder.method.turns


def load_splits(config: Mapping[str, Any], encoder: encoder_lib.Encoder
                ) -> dict[str, sources.base.Source | None]:
  """All splits; None in the place of a validation split that there is not."""
  return {split: load_split(config, encoder, split) for split in SPLITS}


def load_split(config: Mapping[str, Any], encoder: encoder_lib.Encoder,
               split: str) -> sources.base.Source | None:
  """One split of what `data_fields` describes.

  Where the encoder resizes its views, images of any size do.

  Raises:
    errors.UserError: the images do not fit the encoder.
  """
  data = data_fields(config, encoder)
  labels = data.pop('labels', None)
  if split == 'validation' and data.get('validation_fraction') == 0:
    return None
  source = sources.load(split=split, **data,
                        labels=labels if split == 'train' else None)
  shape, known = source.image_shape, encoder.image_shape
  resized = encoder.method.preprocess.size is not None
  if shape != known and not (resized and shape[2] == known[2]):
    field, value = (('channels', known[2]) if shape[2] != known[2] else
                    ('image_size', known[0]))
    raise errors.UserError(f'{source.name} has images {shape}, the encoder was trained '
                           f'on {known}; set config.data.{field}={value}')
  return source


def require_labels(source: sources.base.Source) -> None:
  """Raises `errors.UserError` unless every image can have one label."""
  if not source.num_classes:
    raise errors.UserError(
        f'{source.name} has no labels, or several of an image as VOC 2007 has; a '
        'classifier needs one of each: name such a data set in config.data.name')


def data_fields(config: Mapping[str, Any], encoder: encoder_lib.Encoder
                ) -> dict[str, Any]:
  """The encoder's own data, with what `config.data` puts in its place.

  Another data set comes in the size and the channels that the encoder knows.
  """
  fields = inherit(encoder.config['data'], config.get('data', {}))
  if fields['name'] != encoder.config['data']['name']:
    height, _, channels = encoder.image_shape
    fields = {'image_size': height, 'channels': channels} | fields
  return fields


def inherit(theirs: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
  """Fields of the data that an encoder was trained on, and `own` in their place.

  Its label subset and validation split are of its training alone; of another data
  set's fields it only has those that any set has.
  """
  own = {k: v for k, v in own.items() if v is not None}
  same = own.get('name', theirs['name']) == theirs['name']
  kept = {k: v for k, v in theirs.items() if v is not None and (
      k not in ('labels', 'validation_fraction') if same else k in _ANY_SET)}
  return kept | own


def show(result: Mapping[str, Any]) -> str:
  """The accuracies as aligned text."""
  rows = [f'{result["protocol"]}; chosen: {result["chosen"] or "nothing"}']
  for split in SPLITS:
    if scores := result[split]:
      rows.append(f'{split:>10}  top-1 {scores["top1"]:7.2%}  '
                  f'top-5 {scores["top5"]:7.2%}  '
                  f'mean per class {scores["mean_per_class"]:7.2%}  n {scores["n"]}')
  return '\n'.join(rows)


def main() -> None:
  app.setup_jax()
  config = app.config(_CONFIG)
  checkpoint = app.require(_CHECKPOINT, 'runs/simclr')
  if _OUTPUT.value:
    mesh = mesh_lib.data_mesh()
    encoder = _preprocessing(config, encoder_lib.load(checkpoint, mesh))
    found = extract(config, encoder, mesh, load_splits(config, encoder))
    found = {split: data for split, data in found.items() if data}
    features_lib.save_npz(_OUTPUT.value, found)
    for split, data in found.items():
      print(f'{_OUTPUT.value}: {split}_features {data.features.shape}, '
            f'{split}_labels {data.labels.shape}')
    return
  name = config['protocol']['name']
  workdir = _WORKDIR.value or pathlib.Path(checkpoint) / 'evaluations' / name
  print(show(run(config, checkpoint, workdir)))
  print(f'Per class and confusion: {workdir}/result.json')


if __name__ == '__main__':
  _CONFIG = config_flags.DEFINE_config_file(
      'config', None,
      'What to measure; after the colon: knn, nearest, linear, logistic, resplit, '
      'classifier, rotation.')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a pre-training run.')
  _OUTPUT = flags.DEFINE_string(
      'output', None, 'Only write the features of all splits to this .npz.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for result.json; <checkpoint>/evaluations/<name> if not '
      'given.')
  app.run(main, default_config='configs/evaluate.py:knn')
