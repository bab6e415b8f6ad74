"""Trains a classifier on a trained encoder, of which some, all or nothing is frozen.

An epoch is one pass over the labelled images, floor(n / batch) steps. With
`data.label_subset.repeat` they are repeated until there are as many as before the
subset was taken, so an epoch keeps its number of steps. With `grid` there is one
training for every learning rate and weight decay (see `grid_search`).
"""

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

from ssl_jax import config as config_lib
from ssl_jax import errors, methods, models
from ssl_jax.augment import policies
from ssl_jax.data import datasets, joined
from ssl_jax.data import feed as feed_lib
from ssl_jax.data import sources as data_lib
from ssl_jax.evaluators import scores
from ssl_jax.jobs import downstream, evaluate, grid_search
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.methods import finetune as finetune_lib
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import loop, optim, training

# Defaults: the head, and the first stage that is trained, which freezes the encoder.
LINEAR_HEAD = {'name': 'linear'}
FREEZE_ENCODER = 'head'


def digest(tree: Any) -> str:
  """A hash of every array in a tree: equal means bit-identical."""
  h = hashlib.sha256()
  for leaf in jax.tree.leaves(tree):
    h.update(np.asarray(leaf).tobytes())
  return h.hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(training.TrainConfig):
  """Sets how long and at what precision to train; `epochs` or `steps` is given."""
  epochs: float | None = config_lib.field(
      None, low=0, doc='Length of the training in epochs of the labelled images; None '
      'where steps say it')
  steps: int | None = config_lib.field(
      None, low=1, doc='Length of the training in steps; None where epochs say it')

  def __post_init__(self):
    if (self.steps is None) == (self.epochs is None):
      raise errors.UserError(
          f'config.train.epochs is {self.epochs} and config.train.steps is '
          f'{self.steps}; give one of them, and set the other to None, for example '
          '--config.train.epochs=None')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """A fine-tuning or a probe: what a config of these binaries may hold."""
  seed: int = config_lib.field(
      low=0, high=2**32 - 1,
      doc='Seed of the head, the order of the images and the augmentation')
  head: Any = config_lib.section(
      models.HEADS, key='name', given=('dtype',), optional=True, doc='The classifier')
  features: Any = config_lib.section(evaluate.FeaturesConfig)
  feed: Any = config_lib.section(feed_lib.FeedConfig)
  freeze_until: str | None = config_lib.field(
      FREEZE_ENCODER, doc="First stage that is trained, such as 'stage3'; 'head' "
      'trains the classifier alone, None everything')
  layer_decay: float = config_lib.field(
      1., above=0, high=1, doc='Factor of the learning rate for each stage further '
      'from the head')
  bn_momentum: float | str | None = config_lib.field(
      None, low=0, below=1, choices=('auto',),
      doc='What running statistics keep of their value at each step; None leaves that '
      'to the layers, and auto suits it to the steps of an epoch')
  from_scratch: bool = config_lib.field(
      False, doc='Whether the network starts at random instead of from the encoder')
  score: str = config_lib.field(
      'top1', choices=scores.HEADLINES,
      doc='Score by which a grid chooses, and which a report shows')
  grid: Any = config_lib.section(grid_search.SearchSpace, optional=True)
  augment: Any = config_lib.section(
      policies.CLASSES, key='recipe', doc='Augmentation; size, mean and std are the '
      "encoder's where they are not set")
  optim: Any = config_lib.section(optim.Optim)
  train: Any = config_lib.section(TrainConfig)
  data: Any = config_lib.section(
      evaluate.EncoderData, optional=True, none_is_default=True)
  log: Any = config_lib.section(training.LogConfig, optional=True)
  pretrain: dict | None = config_lib.internal('The config of the encoder')
  encoder: dict | None = config_lib.internal('What identifies the encoder')


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong whatever the encoder is."""
  config_lib.parse(Config, config)
  datasets.check(config.get('data') or {})
  policies.per_crop(config['augment'], finetune_lib.FineTune.num_crops)
  first = config.get('freeze_until', FREEZE_ENCODER)
  if config.get('from_scratch') and first is not None:
    raise errors.UserError(
        f'config.from_scratch is set, but config.freeze_until is '
        f'{first!r}; what is frozen would stay random, so set it to None')
  if config.get('grid'):
    grid_search.check(config)


def _train_config(fields: Mapping[str, Any],
                  steps_per_epoch: int) -> training.TrainConfig:
  """For `epochs`, or for `steps` of which `steps_per_epoch` are an epoch."""
  train = config_lib.build(TrainConfig, fields, 'train')
  if train.steps is None:
    return train
  return dataclasses.replace(train, epochs=train.steps / steps_per_epoch, steps=None)


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'finetune') -> dict[str, Any]:
  """Trains and scores; returns and writes what result.json holds.

  Raises:
    errors.UserError: the config does not suit the encoder or the data.
  """
  config = config_lib.plain(config)
  check(config)
  config['encoder'] = encoder_lib.identify_if_there(checkpoint)
  return workdir_lib.run_once(
      workdir, config, lambda folder: _search_or_train(config, folder, label))


def _search_or_train(config: dict[str, Any], workdir: pathlib.Path,
                     label: str) -> dict[str, Any]:
  started, origin = time.monotonic(), provenance.collect()
  encoder = encoder_lib.load_identified(config['encoder'], mesh_lib.data_mesh())
  train = functools.partial(
      _train, encoder, functools.partial(workdir_lib.claim, workdir, config))
  if config.get('grid'):
    result = grid_search.run(config, workdir, label, train)
  else:
    result = train(config, workdir, label, downstream.SPLITS)
  return result | {'step': encoder.step, 'seconds': time.monotonic() - started,
                   **origin}


def _train(encoder: encoder_lib.TrainedEncoder, claim: Callable[[], None],
           config: dict[str, Any], workdir: pathlib.Path, label: str,
           scored: tuple[str, ...]) -> dict[str, Any]:
  """Trains once, and scores what that made on the splits `scored`.

  Args:
    encoder: that of the checkpoint.
    claim: takes the folder that a grid of trainings shares.
    config: of this training.
    workdir: its folder.
    label: its name in messages.
    scored: names of splits.
  """
  mesh = mesh_lib.data_mesh()
  source = _images(config, encoder, 'train')
  resolved = _resolve(config, encoder, source)
  method = methods.build(resolved, source.num_classes)
  plan = _plan(resolved, encoder, method, source, mesh, workdir, label)
  frozen = digest(_start(method, encoder).non_trainable)

  def claim_both():
    claim()
    workdir_lib.claim(workdir, config)

  state = loop.fit(dataclasses.replace(plan, claim=claim_both))
  if plan.warm_start and digest(state.variables.non_trainable) != frozen:
    raise AssertionError(f'{label}: frozen layers changed during the training')
  trained = dataclasses.replace(encoder, method=method, class_names=source.class_names,
                                variables=method.encoder_variables(state.variables))
  scoring = _scoring(config)
  logits = evaluate.extract(
      scoring, trained, mesh, {split: _images(scoring, trained, split)
                               for split in scored})
  return {'protocol': _protocol(resolved), 'chosen': {},
          'score': config.get('score', 'top1'),
          **dict.fromkeys(downstream.SPLITS), **scores.score_splits(lambda x: x, **{
              split: x and x.labelled(source.num_classes)
              for split, x in logits.items()}),
          'class_names': list(source.class_names)}


def _images(config: Mapping[str, Any], encoder: encoder_lib.TrainedEncoder,
            split: str) -> data_lib.Source | None:
  """A split; to refit, that of training holds the validation images too."""
  source = downstream.load_split(config, encoder, split)
  if split != 'train' or not config.get('refit'):
    return source
  validation = downstream.load_split(config, encoder, 'validation')
  return joined.Joined(source, validation, f'{source.name} + validation')


def _resolve(config: Mapping[str, Any], encoder: encoder_lib.TrainedEncoder,
             source: data_lib.Source) -> dict[str, Any]:
  """The config with all that it takes from the encoder and the data written out.

  It is what the checkpoint holds, and `methods.build` needs no more to make the
  network again.
  """
  downstream.require_labels(source)
  momentum = config.get('bn_momentum')
  if momentum == 'auto':  # about an epoch's worth of batches (arXiv:2002.05709, B.8)
    momentum = max(1 - 10 / max(1, len(source) // config['feed']['batch_size']), 0.9)
  features = config_lib.build(evaluate.FeaturesConfig, config['features'], 'features')
  return config_lib.plain({
      **config,
      'method': {'name': 'finetune', 'bn_momentum': momentum,
                 'freeze_until': config.get('freeze_until', FREEZE_ENCODER)},
      'head': config.get('head', LINEAR_HEAD),
      'features': dataclasses.asdict(features),
      'augment': {**downstream.view_settings(encoder), **config['augment']},
      'data': downstream.data_fields(config, encoder),
      'dataset': source.description,
      'pretrained': encoder.config})


def _plan(config: dict[str, Any], encoder: encoder_lib.TrainedEncoder,
          method: finetune_lib.FineTune, source: data_lib.Source,
          mesh: jax.sharding.Mesh, workdir: pathlib.Path,
          label: str) -> training.TrainingRun:
  stages = method.stages(source.image_shape)  # complains before images are decoded
  first = stages.index(method.freeze_until) if method.freeze_until else 0
  _check_batch(config, source, mesh.size)
  feed = feed_lib.make_feed(source, seed=config['seed'], mesh=mesh, **config['feed'])
  train = _train_config(config['train'], feed.steps_per_epoch)
  tx, schedule = optim.build(
      _with_layer_decay(config['optim'], stages[first:], config.get('layer_decay', 1)),
      batch_size=feed.batch_size, num_examples=feed.num_examples,
      total_steps=training.whole_steps(train.epochs, feed.steps_per_epoch))

  def warm_start(variables):  # a copy: the loop donates its state
    return method.with_pretrained(variables, jax.tree.map(jnp.copy, encoder.variables))

  return training.TrainingRun(
      method=method, tx=tx, schedule=schedule, feed=feed, mesh=mesh, workdir=workdir,
      config=config, seed=config['seed'], epochs=train.epochs, label=label,
      log=config_lib.build(training.LogConfig, config.get('log', {}), 'log'),
      warm_start=None if config.get('from_scratch') else warm_start)


def _check_batch(config: Mapping[str, Any], source: data_lib.Source,
                 devices: int) -> None:
  """Raises `errors.UserError` where there are fewer images than a batch has."""
  batch_size, images = config['feed']['batch_size'], len(source)
  if batch_size <= images:
    return
  # A power of two below the number of images: some may not decode.
  use = max(devices, 1 << max(0, (images - 1).bit_length() - 1))
  labels = config['data'].get('label_subset')
  raise errors.UserError(
      f'config.feed.batch_size is {batch_size}, more than the {images} images '
      f'{"that config.data.label_subset leaves" if labels else f"of {source.name}"}; '
      f'use --config.feed.batch_size={use // devices * devices}'
      + (', or --config.data.label_subset.repeat=True'
         if labels and not labels.get('repeat') else ''))


def _with_layer_decay(fields: Mapping[str, Any], stages: tuple[str, ...],
                      decay: float) -> dict[str, Any]:
  """Multiplies the rate of the head by 1, of the stage below by `decay`, and so on.

  Args:
    fields: of `optim.Optim`.
    stages: those that are trained, from the image up to the head.
    decay: the factor from one stage to the one below.
  """
  given, below = fields.get('multipliers') or {}, reversed(stages)
  return {**fields, 'multipliers': given if decay == 1 else {
      **given, **{stage: given.get(stage, 1) * decay**k
                  for k, stage in enumerate(below)}}}


def _start(method: finetune_lib.FineTune,
           encoder: encoder_lib.TrainedEncoder) -> finetune_lib.base.Variables:
  """The variables at step 0; of the head, which is drawn, only the shapes."""
  shapes = jax.eval_shape(lambda key: method.init(key, encoder.image_shape),
                          jax.random.key(0))
  return method.with_pretrained(shapes, encoder.variables)


def _scoring(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the config by which `evaluate.extract` computes logits of every image."""
  data = dict(config.get('data', {}))
  if data.get('label_subset'):
    data['label_subset'] = {
        k: v for k, v in data['label_subset'].items() if k != 'repeat'}
  return {'data': data, 'refit': config.get('refit'), 'features': {
      'endpoint': 'logits', 'batch_size': config['features'].get('batch_size', 512)}}


def _protocol(config: Mapping[str, Any]) -> str:
  features, first = config['features'], config['method']['freeze_until']
  trained = {None: 'fine-tuned, ', FREEZE_ENCODER: ''}.get(
      first, f'fine-tuned from {first}, ')
  if config.get('from_scratch'):
    trained = 'trained from scratch, '
  return (f'{trained}{config["head"]["name"]} head on {features["endpoint"]}, pool '
          f'{features["pool"]}, {config["augment"]["recipe"]} augmentation')
