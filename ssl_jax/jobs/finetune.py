"""Trains a classifier on a trained encoder whose layers may be frozen."""

import dataclasses
import functools
import hashlib
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ssl_jax import methods, plain_config
from ssl_jax.data import datasets, joined
from ssl_jax.data import sources as data_lib
from ssl_jax.evaluators import scores
from ssl_jax.jobs import (
  downstream,
  evaluate,
  evaluate_config,
  finetune_config,
  finetune_run,
  grid_search,
)
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.methods import base
from ssl_jax.methods import finetune as finetune_lib
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import loop
from ssl_jax.train import packed as packed_lib

Config, parse = finetune_config.Config, finetune_config.parse


def digest(tree: Any) -> str:
  """Returns a hash of all arrays of a tree; equal hashes mean bit-identical trees."""
  arrays = b''.join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
  return hashlib.sha256(arrays).hexdigest()


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'finetune') -> dict[str, Any]:
  """Trains and scores a classifier; writes and returns the fields of result.json.

  Args:
    config: the plain config, with the fields of `Config`.
    checkpoint: the workdir of the run that trained the encoder.
    workdir: the folder of this run.
    label: the name of this run in messages.

  Raises:
    errors.UserError: the config does not suit the encoder or the data.
  """
  config = plain_config.plain(config)
  return run_parsed(parse(config), config, checkpoint, workdir, label)


def run_parsed(spec: Config, config: dict[str, Any], checkpoint: pathlib.Path | str,
               workdir: pathlib.Path | str, label: str) -> dict[str, Any]:
  """Trains and scores as `run` does, given the config both parsed and plain.

  Args:
    spec: the parsed config.
    config: the same config, plain; the identity of the encoder is added to it.
    checkpoint: the workdir of the run that trained the encoder.
    workdir: the folder of this run.
    label: the name of this run in messages.
  """
  config['encoder'] = encoder_lib.identify_if_there(checkpoint)
  return workdir_lib.run_once(
      workdir, config, lambda folder: search_or_train(spec, config, folder, label))


def search_or_train(spec: Config, config: dict[str, Any], workdir: pathlib.Path,
                    label: str) -> dict[str, Any]:
  """Trains at one setting or searches a grid; returns the fields of result.json.

  Args:
    spec: the parsed config.
    config: the same config, plain, with the identity of the encoder.
    workdir: the folder of the run, which exists.
    label: the name of the run in messages.
  """
  started, origin = time.monotonic(), provenance.collect()
  encoder = encoder_lib.load_identified(config['encoder'], mesh_lib.data_mesh())
  claim = functools.partial(workdir_lib.claim, workdir, config)
  if spec.grid is None:
    result = train(encoder, claim, spec, config, workdir, label, downstream.SPLITS)
  else:
    result = grid_search.run(
        spec.grid, spec.score, config, workdir, label,
        lambda config, *args: train(encoder, claim, parse(config), config, *args))
  return result | {'step': encoder.step, 'seconds': time.monotonic() - started,
                   **origin}


def train(encoder: encoder_lib.TrainedEncoder, claim: Callable[[], None],
          spec: Config, config: dict[str, Any], workdir: pathlib.Path, label: str,
          scored: tuple[str, ...]) -> dict[str, Any]:
  """Trains one network and scores it; returns the fields of result.json.

  Args:
    encoder: the trained encoder.
    claim: records which run the folder of the whole grid belongs to.
    spec: the parsed config of this training.
    config: the same config, plain.
    workdir: the folder of this training.
    label: the name of this training in messages.
    scored: names of the splits to score.
  """
  mesh = mesh_lib.data_mesh()
  data = downstream.data_config(spec.data, encoder)
  source = load_images(data, encoder, 'train', bool(spec.refit))
  resolved = resolve(spec, config, encoder, source)
  method = methods.build(resolved, source.num_classes)
  run = finetune_run.assemble(
      spec, resolved, data, encoder, method, source, mesh, workdir, label)
  frozen = digest(method.frozen(initial_variables(method, encoder)))

  def claim_both():
    claim()
    workdir_lib.claim(workdir, config)

  state = loop.fit(dataclasses.replace(run, claim=claim_both))
  if run.warm_start and digest(method.frozen(state.variables)) != frozen:
    raise AssertionError(f'{label}: frozen layers changed during the training')
  trained = dataclasses.replace(encoder, method=method, class_names=source.class_names,
                                variables=method.encoder_variables(state.variables))
  once = without_repetition(data)
  packed = packed_lib.write(workdir, method, state.variables, int(state.step), resolved)
  logits = evaluate.extract(
      evaluate_config.FeaturesConfig('logits', batch_size=spec.features.batch_size),
      trained, mesh, {split: load_images(once, trained, split, bool(spec.refit))
                      for split in scored})
  return {'protocol': describe(resolved), 'chosen': {}, 'score': spec.score,
          **({'packed': packed} if packed else {}),
          **dict.fromkeys(downstream.SPLITS), **scores.score_splits(lambda x: x, **{
              split: x and x.labelled(source.num_classes)
              for split, x in logits.items()}),
          'class_names': list(source.class_names)}


def load_images(data: datasets.DataConfig, encoder: encoder_lib.TrainedEncoder,
                split: str, refit: bool) -> data_lib.Source | None:
  """Opens the labelled images of a split; see `downstream.load_split`.

  Args:
    data: the data set.
    encoder: determines which image shapes are accepted.
    split: 'train', 'validation' or 'test'.
    refit: whether validation images are added to 'train'.
  """
  source = downstream.labelled_only(downstream.load_split(data, encoder, split))
  if split != 'train' or not refit:
    return source
  validation = downstream.labelled_only(
      downstream.load_split(data, encoder, 'validation'))
  return joined.Joined(source, validation, f'{source.name} + validation')


def without_repetition(data: datasets.DataConfig) -> datasets.DataConfig:
  """Returns the data set with every labelled image once."""
  if data.label_subset is None:
    return data
  return dataclasses.replace(
      data, label_subset=dataclasses.replace(data.label_subset, repeat=None))


def resolve(spec: Config, config: Mapping[str, Any],
            encoder: encoder_lib.TrainedEncoder,
            source: data_lib.Source) -> dict[str, Any]:
  """Returns the plain config with the fields that the encoder and the data determine.

  It is saved in the checkpoints, and `methods.build` can build the network from it.

  Args:
    spec: the parsed config.
    config: the same config, plain.
    encoder: the trained encoder.
    source: the training images.

  Raises:
    errors.UserError: the images have no labels.
  """
  downstream.require_labels(source)
  momentum = spec.bn_momentum
  if momentum == 'auto':  # averages over about an epoch (arXiv:2002.05709, B.8)
    momentum = max(1 - 10 / max(1, len(source) // spec.feed.batch_size), 0.9)
  return {
      **config,
      'method': {'name': 'finetune', 'bn_momentum': momentum,
                 'freeze_until': spec.freeze_until},
      'head': config.get('head') or finetune_config.LINEAR_HEAD,
      'features': dataclasses.asdict(spec.features),
      'augment': {**downstream.view_settings(encoder), **spec.augment},
      'data': downstream.data_fields(spec.data, encoder),
      'dataset': source.description,
      'pretrained': encoder.config}


def initial_variables(method: finetune_lib.FineTune,
                      encoder: encoder_lib.TrainedEncoder) -> base.Variables:
  """Returns the variables at step 0, with shapes only for the head, which is random."""
  shapes = jax.eval_shape(lambda key: method.init(key, encoder.image_shape),
                          jax.random.key(0))
  return method.with_pretrained(shapes, encoder.variables)


def describe(resolved: Mapping[str, Any]) -> str:
  """Describes the protocol of a resolved config in words."""
  features, first = resolved['features'], resolved['method']['freeze_until']
  trained = {None: 'fine-tuned, ', finetune_config.FREEZE_ENCODER: ''}.get(
      first, f'fine-tuned from {first}, ')
  if resolved.get('from_scratch'):
    trained = 'trained from scratch, '
  return (f'{trained}{resolved["head"]["name"]} head on {features["endpoint"]}, pool '
          f'{features["pool"]}, {resolved["augment"]["recipe"]} augmentation')
