"""Evaluates the features of a trained encoder by one protocol of ssl_jax/evaluators.

The encoder is asked for features and for nothing else, so it cannot change here.
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import errors, evaluators
from ssl_jax.augment import policies
from ssl_jax.data import datasets, feed
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import rotation
from ssl_jax.jobs import downstream
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.train import checkpoint as checkpoint_lib
from ssl_jax.train import encoder as encoder_lib


@dataclasses.dataclass(frozen=True)
class Splits:
  """Holds the features of a data set for evaluators, and the names of its classes."""
  train: features_lib.Features
  validation: features_lib.Features | None  # None where there is no such split
  test: features_lib.Features
  class_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class FeaturesConfig:
  """Selects the features; see evaluators.features.extract."""
  endpoint: str = config_lib.field(
      'pooled', doc="Endpoint of the network, such as 'stage3', 'pooled', "
      "'projection1' or 'logits'")
  pool: str | int = config_lib.field(
      'mean', choices=('mean', 'max', 'flatten', 'none'), low=1,
      doc='How a feature map becomes a vector; a number s averages s x s regions, and '
      'none leaves a map for a head that takes one')
  batch_size: int = config_lib.field(
      512, low=1, doc='Images that are encoded at once, rounded up to a multiple of '
      'the devices')


@dataclasses.dataclass(frozen=True)
class EncoderData(datasets.DataConfig):
  """The data set of an evaluation; what is not set is as the encoder was trained."""
  name: str | None = config_lib.field(
      None, doc=f'{datasets.DataConfig.NAMES}; None is as the encoder was trained')

  def __post_init__(self):
    """Fields that depend on each other are checked with those of the encoder."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """An evaluation: what a config of this binary may hold."""
  seed: int = config_lib.field(
      0, low=0, high=2**32 - 1,
      doc='Distinguishes repetitions; protocols that draw have a seed of their own')
  protocol: Any = config_lib.section(
      evaluators.EVALUATORS, key='name', doc='What is measured')
  features: Any = config_lib.section(FeaturesConfig, optional=True)
  preprocess: Any = config_lib.section(policies.Plain, optional=True)
  data: Any = config_lib.section(EncoderData, optional=True, none_is_default=True)
  pretrain: dict | None = config_lib.internal('The config of the encoder')
  encoder: dict | None = config_lib.internal('What identifies the encoder')


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong whatever the encoder is."""
  config_lib.parse(Config, config)
  datasets.check(config.get('data') or {})


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str,
        extracted: dict[str, Splits] | None = None) -> dict[str, Any]:
  """Evaluates by `config.protocol`; returns and writes what result.json holds.

  Args:
    config: the sections `protocol`, `features`, `preprocess` and `data`.
    checkpoint: the workdir of a run.
    workdir: holds the result. One of the same config but another encoder is kept
      under another name, see `workdir.run_once`.
    extracted: several protocols on one encoder may share what they extract: give
      them one dict, empty at first.

  Raises:
    errors.UserError: the config does not suit the encoder or the data, or `workdir`
      holds a result of other settings.
  """
  config = config_lib.plain(config)
  check(config)
  config['encoder'] = encoder_lib.identify_if_there(checkpoint)
  extracted = {} if extracted is None else extracted
  return workdir_lib.run_once(
      workdir, config, lambda folder: _measure(config, extracted), resumable=False)


def _measure(config: dict[str, Any], extracted: dict[str, Splits]) -> dict[str, Any]:
  started = time.monotonic()
  mesh = mesh_lib.data_mesh()
  encoder = _preprocessing(config,
                           encoder_lib.load_identified(config['encoder'], mesh))
  key = json.dumps([*map(config.get, ('features', 'preprocess', 'data', 'encoder')),
                    _quarter_turns(config, encoder)])
  if key not in extracted:
    extracted[key] = _splits(config, encoder, mesh)
  splits = extracted[key]
  protocol = dict(config['protocol'])
  evaluator = config_lib.build(evaluators.EVALUATORS[protocol.pop('name')], protocol,
                               'protocol')
  result = evaluator(splits.train, splits.validation, splits.test,
                     len(splits.class_names))
  return result | {
      'class_names': list(splits.class_names), 'step': encoder.step,
      'seconds': time.monotonic() - started, **provenance.collect()}


def default_workdir(config: Mapping[str, Any],
                    checkpoint: pathlib.Path | str) -> pathlib.Path:
  """Returns where a result goes unless it is said: a folder for each of the settings.

  It is <checkpoint>/evaluations/<protocol>, or, where that holds a result of other
  settings, <protocol>_<digest of the settings> beside it; a line then says so.
  """
  name = config['protocol']['name']
  folder = pathlib.Path(checkpoint) / 'evaluations' / name
  if not (changed := workdir_lib.other_settings(folder, config)):
    return folder
  own = folder.with_name(f'{name}_{workdir_lib.name_of_settings(config)}')
  logging.info('%s holds the result of other settings (%s), so this one goes to %s',
               folder, config_lib.summary(changed), own)
  return own


def write_features(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
                   path: pathlib.Path | str) -> list[str]:
  """Writes the features of all images of the splits that there are to an .npz.

  The file holds, of each split, `<split>_features` [N, D], `<split>_labels` [N] (-1
  for none) and, where the data have file names, `<split>_file_names` [N] without
  folders and `<split>_bad_images`, the names of those that have no row because they
  do not decode; `class_names`; and `step` and `encoder` (a path), which say what made
  them. Nothing is held out of images without labels: all of `train` is one split.

  Returns:
    Lines that say what was written.

  Raises:
    errors.UserError: there is no encoder, no split, or images do not suit.
  """
  mesh = mesh_lib.data_mesh()
  encoder = _preprocessing(config, encoder_lib.load(checkpoint, mesh))
  splits = downstream.splits_there_are(config, encoder)
  found = extract(config, encoder, mesh, splits)
  arrays = {
      'class_names': np.array(next(iter(splits.values())).class_names, np.str_),
      'step': np.int64(encoder.step),
      'encoder': np.array(str(checkpoint_lib.locate(checkpoint)))}
  lines = []
  for split, data in found.items():
    lines.append(f'{split}_features {data.features.shape}, {split}_labels '
                 f'{data.labels.shape}')
    bad = np.setdiff1d(np.arange(len(splits[split])), data.rows)
    if names := _file_names(splits[split]):
      arrays[f'{split}_file_names'] = np.array([names[i] for i in data.rows], np.str_)
      arrays[f'{split}_bad_images'] = np.array([names[i] for i in bad], np.str_)
    if len(bad):
      shown = ', '.join(str(names[i] if names else i) for i in bad[:3])
      lines.append(f'{split} has no row of what does not decode ({len(bad)}): '
                   f'{shown}{", ..." if len(bad) > 3 else ""}')
  features_lib.save_npz(path, found, **arrays)
  return [f'{path}: {line}' for line in lines]


def _file_names(source: datasets.sources.Source) -> Sequence[str]:
  try:
    return source.file_names
  except errors.UserError:  # of the source: it has none
    return ()


def _preprocessing(config: Mapping[str, Any],
                   encoder: encoder_lib.TrainedEncoder) -> encoder_lib.TrainedEncoder:
  """The encoder, with `config.preprocess` for how it is shown images."""
  if not (own := config.get('preprocess')):
    return encoder
  policy = policies.build('none', **{**downstream.view_settings(encoder), **own})
  return dataclasses.replace(
      encoder, method=dataclasses.replace(encoder.method, preprocess=policy))


def _splits(config: Mapping[str, Any], encoder: encoder_lib.TrainedEncoder,
            mesh: jax.sharding.Mesh) -> Splits:
  turns, load = _quarter_turns(config, encoder), downstream.load_split
  loaded = {'train': load(config, encoder, 'train')}
  if not turns:  # before other splits are found missing
    downstream.require_labels(loaded['train'])
  loaded |= {s: load(config, encoder, s) for s in downstream.SPLITS[1:]}
  names = rotation.names(turns) if turns else loaded['train'].class_names
  return Splits(**extract(config, encoder, mesh, loaded), class_names=tuple(names))


def extract(config: Mapping[str, Any], encoder: encoder_lib.TrainedEncoder,
            mesh: jax.sharding.Mesh,
            splits: Mapping[str, datasets.sources.Source | None]
            ) -> dict[str, features_lib.Features | None]:
  """Features of every split; None where there is no such split."""
  wanted = config_lib.build(FeaturesConfig, config.get('features', {}), 'features')
  batch_size = -(-wanted.batch_size // mesh.size) * mesh.size
  turns, found = _quarter_turns(config, encoder), {}
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


def _quarter_turns(config: Mapping[str, Any],
                   encoder: encoder_lib.TrainedEncoder) -> tuple[int, ...]:
  """The quarter turns that are told apart; none where classes are, as usual."""
  if config.get('protocol', {}).get('name') != 'rotation':
    return ()
  if not hasattr(encoder.method, 'quarter_turns'):
    raise errors.UserError(
        "config.protocol.name is 'rotation', but this encoder was trained with "
        f"{encoder.config['method']['name']!r}; rotations are told apart by 'rotnet'")
  return encoder.method.quarter_turns


def show(result: Mapping[str, Any]) -> str:
  """Formats accuracies as aligned text; top-5 only of more than five classes."""
  chosen = ', '.join(f'{name} {value:g}' if isinstance(value, float) else
                     f'{name} {value}' for name, value in result['chosen'].items())
  rows = [result['protocol'] + (f'; chosen: {chosen}' if chosen else '')]
  for split in downstream.SPLITS:
    if scores := result[split]:
      top5 = (f'top-5 {scores["top5"]:7.2%}  ' if len(scores['per_class']) > 5 else '')
      rows.append(f'{split:>10}  top-1 {scores["top1"]:7.2%}  {top5}'
                  f'mean per class {scores["mean_per_class"]:7.2%}  n {scores["n"]}')
  return '\n'.join(rows)
