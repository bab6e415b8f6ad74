"""Trains a classifier on a trained encoder whose layers may be frozen."""

import dataclasses
import functools
import hashlib
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax import errors, methods, plain_config
from ssl_jax.data import datasets, joined
from ssl_jax.data import feed as feed_lib
from ssl_jax.data import sources as data_lib
from ssl_jax.evaluators import scores
from ssl_jax.jobs import (
  downstream,
  evaluate,
  evaluate_config,
  finetune_config,
  grid_search,
)
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.methods import base
from ssl_jax.methods import finetune as finetune_lib
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import loop, optim, training
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
  run = assemble(spec, resolved, data, encoder, method, source, mesh, workdir, label)
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


def assemble(spec: Config, resolved: dict[str, Any], data: datasets.DataConfig,
             encoder: encoder_lib.TrainedEncoder, method: finetune_lib.FineTune,
             source: data_lib.Source, mesh: jax.sharding.Mesh, workdir: pathlib.Path,
             label: str) -> training.TrainingRun:
  """Builds the optimizer and the batches of a training.

  Args:
    spec: the parsed config.
    resolved: the plain config that every checkpoint holds; see `resolve`.
    data: the data set.
    encoder: provides the initial variables of the network.
    method: the network.
    source: the training images.
    mesh: the devices.
    workdir: the folder of the training.
    label: the name of the training in messages.
  """
  stages = method.stages(source.image_shape)  # raises before images are decoded
  first = stages.index(method.freeze_until) if method.freeze_until else 0
  check_batch(spec.feed.batch_size, source, data.label_subset, mesh.size)
  feed = feed_lib.make_feed(source, spec.feed, seed=spec.seed, mesh=mesh)
  epochs = (spec.train.epochs if spec.train.steps is None else
            spec.train.steps / feed.steps_per_epoch)
  tx, schedule = optim.build(
      with_layer_decay(spec.optim, stages[first:], spec.layer_decay),
      batch_size=feed.batch_size, num_examples=feed.num_examples,
      total_steps=training.whole_steps(epochs, feed.steps_per_epoch))

  def warm_start(state):  # copies them, because the loop donates its state
    return state.replace(variables=method.with_pretrained(
        state.variables, jax.tree.map(jnp.copy, encoder.variables)))

  return training.TrainingRun(
      method=method, tx=tx, schedule=schedule, feed=feed, mesh=mesh, workdir=workdir,
      config=resolved, seed=spec.seed, epochs=epochs, label=label, log=spec.log,
      warm_start=None if spec.from_scratch else warm_start)


def check_batch(batch_size: int, source: data_lib.Source,
                labels: datasets.LabelsConfig | None, devices: int) -> None:
  """Checks that the data set has at least as many images as a batch.

  Args:
    batch_size: number of images in a batch.
    source: the training images.
    labels: the rule that chose the labelled images, or None.
    devices: the number of devices that share a batch.

  Raises:
    errors.UserError: it has fewer; the message names a batch size that is possible.
  """
  images = len(source)
  if batch_size <= images:
    return
  # A power of two below the number of images, because some may not decode.
  use = max(devices, 1 << max(0, (images - 1).bit_length() - 1))
  raise errors.UserError(
      f'config.feed.batch_size is {batch_size}, more than the {images} images '
      f'{"that config.data.label_subset leaves" if labels else f"of {source.name}"}; '
      f'use --config.feed.batch_size={use // devices * devices}'
      + (', or --config.data.label_subset.repeat=True'
         if labels and not labels.repeat else ''))


def with_layer_decay(config: optim.Optim, stages: tuple[str, ...],
                     decay: float) -> optim.Optim:
  """Multiplies the rate of the head by 1, of the stage below by `decay`, and so on.

  Args:
    config: the optimizer; multipliers that it has already are kept as factors.
    stages: the stages that are trained, from the image to the head.
    decay: the factor from one stage to the one below.
  """
  if decay == 1:
    return config
  given = config.multipliers or {}
  return dataclasses.replace(config, multipliers={
      **given, **{stage: given.get(stage, 1) * decay**k
                  for k, stage in enumerate(reversed(stages))}})


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
