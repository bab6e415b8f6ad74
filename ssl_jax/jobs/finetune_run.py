"""Assembles a fine-tuning: its optimizer, its batches and its initial variables."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.data import datasets
from ssl_jax.data import feed as feed_lib
from ssl_jax.data import sources as data_lib
from ssl_jax.jobs import finetune_config
from ssl_jax.methods import finetune as finetune_lib
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import optim, training


def assemble(spec: finetune_config.Config, resolved: dict[str, Any],
             data: datasets.DataConfig, encoder: encoder_lib.TrainedEncoder,
             method: finetune_lib.FineTune, source: data_lib.Source,
             mesh: jax.sharding.Mesh, workdir: pathlib.Path,
             label: str) -> training.TrainingRun:
  """Builds the optimizer and the batches of a training.

  Args:
    spec: the parsed config.
    resolved: the plain config that every checkpoint holds; see
      `jobs.finetune.resolve`.
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
