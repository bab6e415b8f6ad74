"""Evaluates the features of a trained encoder by one protocol of ssl_jax/evaluators.

The encoder only computes features, so an evaluation cannot change it.
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

from ssl_jax import errors, plain_config
from ssl_jax.augment import policies
from ssl_jax.data import datasets, feed
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import rotation
from ssl_jax.jobs import downstream, evaluate_config
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.train import checkpoint as checkpoint_lib
from ssl_jax.train import encoder as encoder_lib

Config, parse = evaluate_config.Config, evaluate_config.parse


@dataclasses.dataclass(frozen=True)
class Splits:
  """Holds the features of a data set for evaluators, and the names of its classes."""
  train: features_lib.Features
  validation: features_lib.Features | None  # None without a validation split
  test: features_lib.Features
  class_names: tuple[str, ...]


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str,
        extracted: dict[str, Splits] | None = None) -> dict[str, Any]:
  """Evaluates by `config.protocol`; writes and returns the fields of result.json.

  Args:
    config: the plain config, with the fields of `Config`.
    checkpoint: the workdir of the run that trained the encoder.
    workdir: the folder of the result. If it holds a result of the same config but of
      another encoder, that one is renamed; see `workdir.run_once`.
    extracted: a dictionary, empty at first, in which several calls for one encoder
      share their features.

  Raises:
    errors.UserError: the config does not suit the encoder or the data, or `workdir`
      holds a result of other settings.
  """
  config = plain_config.plain(config)
  spec = parse(config)
  config['encoder'] = encoder_lib.identify_if_there(checkpoint)
  extracted = {} if extracted is None else extracted
  return workdir_lib.run_once(
      workdir, config, lambda folder: measure(spec, config['encoder'], extracted),
      resumable=False)


def measure(spec: Config, identity: Mapping[str, Any],
            extracted: dict[str, Splits]) -> dict[str, Any]:
  """Evaluates an encoder; returns the fields of result.json.

  Args:
    spec: the parsed config.
    identity: the identity of the encoder; see `encoder.identify`.
    extracted: features that calls for one encoder share; see `run`.
  """
  started = time.monotonic()
  mesh = mesh_lib.data_mesh()
  encoder = with_preprocessing(encoder_lib.load_identified(identity, mesh),
                               spec.preprocess)
  rotations = rotations_of(spec.protocol, encoder)
  key = json.dumps([dataclasses.asdict(spec.features), spec.preprocess, spec.data,
                    identity, rotations])
  if key not in extracted:
    extracted[key] = extract_splits(spec, encoder, mesh, rotations)
  splits = extracted[key]
  result = spec.protocol(splits.train, splits.validation, splits.test,
                         len(splits.class_names))
  return result | {
      'class_names': list(splits.class_names), 'step': encoder.step,
      'seconds': time.monotonic() - started, **provenance.collect()}


def default_workdir(config: Mapping[str, Any],
                    checkpoint: pathlib.Path | str) -> pathlib.Path:
  """Returns the default folder of a result.

  It is <checkpoint>/evaluations/<protocol>. If that holds a result of other settings,
  it is <checkpoint>/evaluations/<protocol>_<digest of the settings>, and the log names
  it.
  """
  name = config['protocol']['name']
  root = pathlib.Path(checkpoint)
  folder = (root.with_name(f'{root.name}.evaluations') if root.is_file()
            else root / 'evaluations') / name
  if not (changed := workdir_lib.other_settings(folder, config)):
    return folder
  other = folder.with_name(f'{name}_{workdir_lib.name_of_settings(config)}')
  logging.info('%s has a result of other settings (%s); this one is written to %s',
               folder, plain_config.summary(changed), other)
  return other


def write_features(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
                   path: pathlib.Path | str) -> list[str]:
  """Writes the features of all images of all existing splits to an .npz file.

  For each split, the file has `<split>_features` [N, D] and `<split>_labels` [N], which
  are -1 without a label. If the data have file names, it also has `<split>_file_names`
  [N], without folders, and `<split>_bad_images`, the names of the images that do not
  decode and therefore have no features. Its other arrays are `class_names` and the
  `step` and `encoder` (a path) that made the features. If the images have no labels, no
  validation split is taken out of `train`.

  Args:
    config: the plain config, with the fields of `Config`.
    checkpoint: the workdir of the run that trained the encoder.
    path: the file.

  Returns:
    Lines of text that list the arrays.

  Raises:
    errors.UserError: no encoder or no split is found, or the encoder does not accept
      the images.
  """
  mesh = mesh_lib.data_mesh()
  spec = parse(config)
  encoder = with_preprocessing(encoder_lib.load(checkpoint, mesh), spec.preprocess)
  splits = downstream.existing_splits(downstream.data_config(spec.data, encoder),
                                      encoder)
  found = extract(spec.features, encoder, mesh, splits,
                  rotations_of(spec.protocol, encoder))
  arrays = {
      'class_names': np.array(next(iter(splits.values())).class_names, np.str_),
      'step': np.int64(encoder.step),
      'encoder': np.array(str(checkpoint_lib.locate(checkpoint)))}
  lines = []
  for split, data in found.items():
    lines.append(f'{split}_features {data.features.shape}, {split}_labels '
                 f'{data.labels.shape}')
    bad = np.setdiff1d(np.arange(len(splits[split])), data.indices)
    if names := file_names(splits[split]):
      for key, indices in (('file_names', data.indices), ('bad_images', bad)):
        arrays[f'{split}_{key}'] = np.array([names[i] for i in indices], np.str_)
    if len(bad):
      shown = ', '.join(str(names[i] if names else i) for i in bad[:3])
      lines.append(f'{split} lacks the images that do not decode ({len(bad)}): '
                   f'{shown}{", ..." if len(bad) > 3 else ""}')
  features_lib.save_npz(path, found, **arrays)
  return [f'{path}: {line}' for line in lines]


def file_names(source: datasets.sources.Source) -> Sequence[str]:
  """Returns the file names of all images; empty if the data have none."""
  try:
    return source.file_names
  except errors.UserError:  # raised by a source without file names
    return ()


def with_preprocessing(encoder: encoder_lib.TrainedEncoder,
                       overrides: Mapping[str, Any]) -> encoder_lib.TrainedEncoder:
  """Returns the encoder with another preprocessing of its images.

  Args:
    encoder: is returned unchanged if `overrides` is empty.
    overrides: plain fields of the section `preprocess` that are set.
  """
  if not overrides:
    return encoder
  policy = policies.build('none', **{**downstream.view_settings(encoder), **overrides})
  return dataclasses.replace(
      encoder, method=dataclasses.replace(encoder.method, preprocess=policy))


def extract_splits(spec: Config, encoder: encoder_lib.TrainedEncoder,
                   mesh: jax.sharding.Mesh, rotations: tuple[int, ...]) -> Splits:
  """Extracts the features of all splits.

  Args:
    spec: the parsed config.
    encoder: computes the features.
    mesh: the devices.
    rotations: numbers of quarter turns, usually none; see `extract`.
  """
  data = downstream.data_config(spec.data, encoder)
  loaded = {'train': downstream.load_split(data, encoder, 'train')}
  if not rotations:  # checked first: data without labels often lack the other splits
    downstream.require_labels(loaded['train'])
  loaded |= {split: downstream.load_split(data, encoder, split)
             for split in downstream.SPLITS[1:]}
  if not rotations:
    loaded = {split: downstream.labelled_only(source)
              for split, source in loaded.items()}
  names = rotation.names(rotations) if rotations else loaded['train'].class_names
  return Splits(**extract(spec.features, encoder, mesh, loaded, rotations),
                class_names=tuple(names))


def extract(features: evaluate_config.FeaturesConfig,
            encoder: encoder_lib.TrainedEncoder,
            mesh: jax.sharding.Mesh,
            splits: Mapping[str, datasets.sources.Source | None],
            rotations: tuple[int, ...] = ()
            ) -> dict[str, features_lib.Features | None]:
  """Returns the features of every split by its name; None for a split that is None.

  Args:
    features: the endpoint, and the number of images that are encoded at once.
    encoder: computes the features.
    mesh: the devices.
    splits: images by the name of their split.
    rotations: numbers of quarter turns. Unless it is empty, every image is encoded in
      all these rotations, and the rotation is its label.
  """
  batch_size = -(-features.batch_size // mesh.size) * mesh.size
  found = {}
  logging.info('Encoding images: %s', ', '.join(
      f'{source.name} {len(source):,}' for source in splits.values() if source))
  for split, source in splits.items():
    if source is None:
      found[split] = None
      continue
    batches = feed.eval_batches(source, batch_size, mesh)
    if rotations:
      batches = rotation.expand(batches, rotations)
    found[split] = features_lib.extract(encoder.method.encode, encoder.variables,
                                        batches, features.endpoint, features.pool)
  return found


def rotations_of(protocol: Any,
                 encoder: encoder_lib.TrainedEncoder) -> tuple[int, ...]:
  """Returns the numbers of quarter turns that the protocol classifies, usually none.

  Raises:
    errors.UserError: the protocol is 'rotation', but the encoder was not trained to
      classify rotations.
  """
  if not isinstance(protocol, rotation.Rotation):
    return ()
  if not hasattr(encoder.method, 'quarter_turns'):
    raise errors.UserError(
        "config.protocol.name is 'rotation', but this encoder was trained with "
        f"{encoder.config['method']['name']!r}; give the --checkpoint of a run of "
        "'rotnet'")
  return encoder.method.quarter_turns


def show(result: Mapping[str, Any]) -> str:
  """Formats accuracies as aligned text; top-5 is shown for more than five classes."""
  chosen = ', '.join(f'{name} {value:g}' if isinstance(value, float) else
                     f'{name} {value}' for name, value in result['chosen'].items())
  lines = [result['protocol'] + (f'; chosen: {chosen}' if chosen else '')]
  for split in downstream.SPLITS:
    if scores := result[split]:
      top5 = (f'top-5 {scores["top5"]:7.2%}  ' if len(scores['per_class']) > 5 else '')
      lines.append(f'{split:>10}  top-1 {scores["top1"]:7.2%}  {top5}'
                   f'mean per class {scores["mean_per_class"]:7.2%}  n {scores["n"]}')
  return '\n'.join(lines)
