"""Trains an encoder by a method of ssl_jax/methods: config in, result out."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import errors, jsonl, methods, models
from ssl_jax.augment import policies
from ssl_jax.data import datasets, sources
from ssl_jax.data import feed as feed_lib
from ssl_jax.evaluators import monitor
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.methods import base
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import processes, provenance
from ssl_jax.train import loop, online_probe, optim, training


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """A pre-training run: what a config of this binary may hold."""
  seed: int = config_lib.field(
      low=0, high=2**32 - 1,
      doc='Seed of the initialisation, the order of the images and the views')
  data: Any = config_lib.section(datasets.DataConfig, none_is_default=True)
  feed: Any = config_lib.section(feed_lib.FeedConfig)
  augment: Any = config_lib.section(
      policies.CLASSES, key='recipe', variants='views',
      doc='Augmentation that makes the views')
  method: Any = config_lib.section(
      methods.METHODS, key='name', given=methods.PARTS, doc='What is learned')
  model: Any = config_lib.section(
      models.MODELS, key='name', given=('dtype',), doc='The encoder')
  projector: Any = config_lib.section(
      models.heads.build_projector, given=('dtype',), optional=True)
  predictor: Any = config_lib.section(
      models.heads.build_predictor, given=('dtype',), optional=True)
  optim: Any = config_lib.section(optim.Optim)
  train: Any = config_lib.section(training.TrainConfig)
  log: Any = config_lib.section(training.LogConfig, optional=True)


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong whatever the data are."""
  config_lib.parse(Config, config)
  datasets.check(config['data'])
  _check_images(config, methods.build(config, num_classes=2))


def _check_images(config: Mapping[str, Any], method: base.Base) -> None:
  """Compares the images that pass at once with what the method needs."""
  batch_size, chunks = config['feed']['batch_size'], method.grad_cache_chunks
  if batch_size // chunks >= method.min_images:
    return
  parts = f' in config.train.grad_cache_chunks={chunks} parts' if chunks > 1 else ''
  raise errors.UserError(
      f'config.feed.batch_size is {batch_size}{parts}; '
      f'{config["method"]["name"]!r} compares images with each other, so use at least '
      f'{method.min_images * chunks}')


def run(config: Mapping[str, Any], workdir: pathlib.Path | str,
        label: str = 'pretrain') -> dict[str, Any]:
  """Trains to the end of `config` in `workdir`; returns what result.json holds."""
  config = config_lib.plain(config)
  check(config)
  return workdir_lib.run_once(workdir, config,
                              lambda folder: _train(config, folder, label))


def _train(config: dict[str, Any], workdir: pathlib.Path, label: str) -> dict[str, Any]:
  origin = provenance.collect()  # now: the checkout may change under a long run
  plan = _plan(config, workdir, label)
  state = loop.fit(dataclasses.replace(
      plan, claim=functools.partial(workdir_lib.claim, workdir, config)))
  rows = jsonl.read(workdir / 'metrics.jsonl')
  return {'steps': int(state.step), 'epochs': plan.epochs,
          'images': int(state.step) * plan.feed.batch_size,
          'seconds': rows[-1]['time'] if rows else 0.0, **origin}


def show(result: Mapping[str, Any]) -> str:
  """Formats what a finished run did as one line."""
  return (f'{result["steps"]:,} steps, {result["epochs"]:g} epochs, '
          f'{result["images"]:,} images in {result["seconds"]:,.0f} s')


def _plan(config: dict[str, Any], workdir: pathlib.Path,
          label: str) -> training.TrainingRun:
  """Config -> data, method, optimizer, monitors."""
  mesh = mesh_lib.data_mesh()
  # Without labels nothing needs to be held out: evaluation cuts its validation
  # split from images that were seen, if at all, without their labels.
  data = {'validation_fraction': 0, **config['data']}
  with processes.fail_together():
    source = datasets.load(split='train', **data)
  _check_same_data(source, len(source))
  with processes.fail_together():
    feed = feed_lib.make_feed(source, seed=config['seed'], mesh=mesh, **config['feed'])
  _check_same_data(source, feed.num_examples)  # a resident feed drops bad images
  return assemble(config, source, feed, mesh, workdir, label)


def _check_same_data(source: sources.Source, examples: int) -> None:
  processes.assert_equal_across_processes(
      {source.name: {'examples': examples, 'image_shape': list(source.image_shape),
                     'classes': source.num_classes}},
      'give every host the same files')


def assemble(config: dict[str, Any], source: sources.Source, feed: feed_lib.Feed,
             mesh: jax.sharding.Mesh, workdir: pathlib.Path,
             label: str) -> training.TrainingRun:
  """Config and data -> method, optimizer, monitors; the config is plain."""
  train = config_lib.build(training.TrainConfig, config['train'], 'train')
  method = methods.build(config, source.num_classes)
  tx, schedule = optim.build(
      config['optim'], batch_size=feed.batch_size, num_examples=feed.num_examples,
      total_steps=training.whole_steps(train.epochs, feed.steps_per_epoch))
  labelled = source.num_classes > 0
  watch = labelled and train.knn_every_epochs > 0
  return training.TrainingRun(
      method=method, tx=tx, schedule=schedule, feed=feed, mesh=mesh, workdir=workdir,
      config={**config, 'dataset': source.description},
      seed=config['seed'], epochs=train.epochs,
      log=config_lib.build(training.LogConfig, config.get('log', {}), 'log'),
      probe=online_probe.OnlineProbe(
          source.num_classes, train.online_endpoint, train.online_pool)
      if labelled and train.online_probe else None,
      monitor=_knn_monitor(config, method, mesh, train) if watch else None,
      monitor_every_epochs=train.knn_every_epochs, label=label)


def _knn_monitor(config: dict[str, Any], method: base.Base, mesh: jax.sharding.Mesh,
                 train: training.TrainConfig) -> monitor.KnnMonitor | None:
  """Looks validation images up among at most `knn_examples` of the others.

  Where there is no validation split and none can be cut, a warning says so, and
  training goes on without a monitor.
  """
  data = {'validation_fraction': 0.1, **config['data']}
  data.pop('label_subset', None)
  try:
    bank, queries = (datasets.load(split=s, **data) for s in ('train', 'validation'))
  except errors.UserError as e:
    logging.warning(
        'Training goes on without the kNN accuracy that config.train.knn_every_epochs='
        '%g asks for: %s', train.knn_every_epochs, e)
    return None
  # Evenly spaced: where files are sorted by class, the first would be of few classes.
  n = min(train.knn_examples, len(bank))
  bank = sources.subset(bank, np.arange(n) * len(bank) // n, bank.name)
  batches = lambda source: lambda: feed_lib.eval_batches(source, 64 * mesh.size, mesh)
  return monitor.KnnMonitor(method.encode, batches(bank.load_into_memory()),
                            batches(queries.load_into_memory()), bank.num_classes,
                            train.knn_k, train.online_endpoint, train.online_pool)
