"""Trains an encoder by a method of ssl_jax/methods, from a config to a result."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import jax

from ssl_jax import config as config_lib
from ssl_jax import errors, jsonl, methods, models, plain_config
from ssl_jax.data import datasets, sources
from ssl_jax.data import feed as feed_lib
from ssl_jax.jobs import initial, monitor
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import processes, provenance
from ssl_jax.train import loop, online_probe, optim, training
from ssl_jax.train import packed as packed_lib


@dataclasses.dataclass(frozen=True)
class TrainConfig(training.TrainConfig):
  """Sets the length and precision of a pre-training, and how it starts."""
  carry_optimizer: bool = config_lib.field(
      False, doc='Whether the optimizer starts with its state in the run '
      'config.model.init_from; the schedule starts at its beginning in any case')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(methods.Spec):
  """Declares a pre-training run: the fields of a config of this binary."""
  seed: int = config_lib.field(
      low=0, high=2**32 - 1,
      doc='Seed of the initialisation, of the order of the images and of the views')
  data: Any = config_lib.section(datasets.DataConfig, none_is_default=True)
  feed: Any = config_lib.section(feed_lib.FeedConfig)
  optim: Any = config_lib.section(optim.Optim)
  train: Any = config_lib.section(TrainConfig)
  monitor: Any = config_lib.section(monitor.MonitorConfig, default={})
  log: Any = config_lib.section(training.LogConfig, default={})


def parse(config: Mapping[str, Any]) -> Config:
  """Parses a plain config, which checks it.

  Raises:
    errors.UserError: the config has a mistake that does not depend on the data.
  """
  spec = config_lib.build(Config, config)
  datasets.check(config['data'])
  initial.check(config)
  check_images(spec, config['method']['name'])
  return spec


def check_images(spec: Config, name: str) -> None:
  """Checks that the network processes enough images at once for the method.

  Args:
    spec: the parsed config.
    name: the name of the method, for the message.

  Raises:
    errors.UserError: a batch, or a chunk of it, has too few images to be compared.
  """
  method = methods.from_spec(spec, num_classes=2)
  batch_size, chunks = spec.feed.batch_size, method.grad_cache_chunks
  if batch_size // chunks >= method.min_images:
    return
  split = f' and config.train.grad_cache_chunks is {chunks}' if chunks > 1 else ''
  raise errors.UserError(
      f'config.feed.batch_size is {batch_size}{split}; '
      f'{name!r} compares images with each other, so use at least '
      f'{method.min_images * chunks}')


def run(config: Mapping[str, Any], workdir: pathlib.Path | str,
        label: str = 'pretrain') -> dict[str, Any]:
  """Trains an encoder to the end; writes and returns the fields of result.json.

  Args:
    config: the plain config, with the fields of `Config`.
    workdir: the folder of the run.
    label: the name of the run in messages.

  Raises:
    errors.UserError: the config has a mistake, or does not suit the data.
  """
  config = plain_config.plain(config)
  spec = parse(config)
  return workdir_lib.run_once(workdir, config,
                              lambda folder: train(spec, config, folder, label))


def train(spec: Config, config: dict[str, Any], workdir: pathlib.Path,
          label: str) -> dict[str, Any]:
  """Trains in a folder that exists; returns the fields of result.json.

  Args:
    spec: the parsed config.
    config: the same config, plain; every checkpoint holds it.
    workdir: the folder of the run.
    label: the name of the run in messages.
  """
  origin = provenance.collect()  # first, because the checkout may change meanwhile
  run = initial.started_from(prepare(spec, config, workdir, label), config)
  return origin | finish(dataclasses.replace(
      run, claim=functools.partial(workdir_lib.claim, workdir, config)))


def finish(run: training.TrainingRun) -> dict[str, Any]:
  """Trains to the end of a run; returns the facts that result.json holds."""
  state = loop.fit(run)
  metrics = jsonl.read(run.workdir / 'metrics.jsonl')
  steps = int(state.step)
  packed = packed_lib.write(run.workdir, run.method, state.variables, steps, run.config)
  return {'steps': steps, 'epochs': run.epochs,
          'images': steps * run.feed.batch_size,
          'seconds': metrics[-1]['time'] if metrics else 0.0,
          **({'packed': packed} if packed else {})}


def show(result: Mapping[str, Any]) -> str:
  """Formats the length of a finished run as one line."""
  return (f'{result["steps"]:,} steps, {result["epochs"]:g} epochs, '
          f'{result["images"]:,} images in {result["seconds"]:,.0f} s')


def prepare(spec: Config, config: dict[str, Any], workdir: pathlib.Path,
            label: str) -> training.TrainingRun:
  """Opens the data and assembles the run.

  Args:
    spec: the parsed config.
    config: the same config, plain; every checkpoint holds it.
    workdir: the folder of the run.
    label: the name of the run in messages.
  """
  mesh = mesh_lib.data_mesh()
  with processes.fail_together():
    source = datasets.open_split(datasets.held_out(spec.data, 0.), 'train')
  check_same_data(source, len(source))
  with processes.fail_together():
    feed = feed_lib.make_feed(source, spec.feed, seed=spec.seed, mesh=mesh)
  check_same_data(source, feed.num_examples)  # a resident feed drops bad images
  return assemble(spec, config, source, feed, mesh, workdir, label)


def check_same_data(source: sources.Source, examples: int) -> None:
  """Checks that all processes have the same images.

  Args:
    source: the images of this process.
    examples: their number.

  Raises:
    errors.UserError: the images differ in number, shape or classes.
  """
  processes.assert_equal_across_processes(
      {source.name: {'examples': examples, 'image_shape': list(source.image_shape),
                     'classes': source.num_classes}},
      'give every host the same files')


def assemble(spec: Config, config: dict[str, Any], source: sources.Source,
             feed: feed_lib.Feed, mesh: jax.sharding.Mesh, workdir: pathlib.Path,
             label: str) -> training.TrainingRun:
  """Builds the method, the optimizer and the online evaluations of a run.

  Args:
    spec: the parsed config.
    config: the same config, plain; every checkpoint holds it.
    source: the training images.
    feed: their batches.
    mesh: the devices.
    workdir: the folder of the run.
    label: the name of the run in messages.
  """
  method = methods.from_spec(spec, source.num_classes)
  tx, schedule = optim.build(
      optim.with_frozen(spec.optim, models.frozen(method.network.encoder)),
      batch_size=feed.batch_size, num_examples=feed.num_examples,
      total_steps=training.whole_steps(spec.train.epochs, feed.steps_per_epoch))
  labelled = source.num_classes > 0
  return training.TrainingRun(
      method=method, tx=tx, schedule=schedule, feed=feed, mesh=mesh, workdir=workdir,
      config={**config, 'dataset': source.description},
      seed=spec.seed, epochs=spec.train.epochs, log=spec.log,
      probe=online_probe.OnlineProbe(
          source.num_classes, spec.train.online_endpoint, spec.train.online_pool)
      if labelled and spec.train.online_probe else None,
      monitor=monitor.build(
          spec.data, spec.monitor, spec.train, method, batch_size=feed.batch_size,
          labelled=labelled, mesh=mesh),
      monitor_every_epochs=spec.train.knn_every_epochs, label=label)
