"""Compiles the training step ahead of time for chips that this host need not have."""

import functools
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import platforms, provenance
from ssl_jax.performance import (
  collectives,
  gpu_program,
  hardware,
  network,
  timing,
  topologies,
  workload,
)
from ssl_jax.train import training

# Numbers of chips that scaling is predicted for, in a TPU slice or a host with GPUs.
_CHIPS = {'tpu': (8, 64, 256), 'cuda': (2, 4, 8)}


def run(config: dict[str, Any], name: str,
        text: pathlib.Path | None = None) -> dict[str, Any]:
  """Compiles the training step of a plain config; no data and no device are needed.

  The batch has the form that a streamed feed gives. A resident data set would also need
  memory on every chip; its size in bytes is reported.

  Args:
    config: plain config of `pretrain`.
    name: name of the topology, such as 'v5e:16x16' or 'h100'.
    text: file that the text of the compiled program is written to; None writes none.

  Returns:
    The figures that `tables.compiled` formats.

  Raises:
    errors.UserError: the topology is unknown, its compiler is not installed, or the
      config is not accepted.
  """
  topology = topologies.describe(name)
  chips = topology.devices
  train = config['train']
  if train.get('precision', 'auto') == 'auto':  # here this would mean the CPU's dtype
    config = {**config, 'train': {**train, 'precision': 'bfloat16'}}
  training_run = workload.abstract_run(config, mesh_lib.data_mesh(chips))
  batch_size = training_run.feed.batch_size
  logging.info('Compiling the training step for %s, %d images on %d chips; large '
               'networks take minutes', name, batch_size, len(chips))
  start = time.perf_counter()
  program = compile_step(training_run, topology.platform)
  compile_seconds = time.perf_counter() - start
  logging.info('Compiled; counting FLOPs and bytes')
  if text:
    text.write_text(program.as_text())
  sent = collectives.parse(program.as_text())
  device = hardware.find(chips[0].device_kind)
  memory = program.memory_analysis()
  return {
      'commit': provenance.collect()['commit'], 'jax': jax.__version__,
      'compiler': topology.compiler,
      'hardware': f'none; compiled for {name}', 'config': config, 'topology': name,
      'chips': len(chips), 'device': device.name,
      'batch_size': batch_size, 'compile_seconds': compile_seconds,
      'resident_data_bytes': workload.random_images(config['data']).nbytes,
      'memory_bytes': {
          'arguments': memory.argument_size_in_bytes,
          'outputs': memory.output_size_in_bytes,
          'of them shared': memory.alias_size_in_bytes,
          'temporary': memory.temp_size_in_bytes,
          'in all': timing.program_bytes(memory), 'of the chip': device.memory},
      **_counted(program, device, batch_size // len(chips)),
      'collectives': [{'op': c.op, 'arrays': c.shapes, 'bytes': c.bytes,
                       'count': c.count} for c in sent],
      **_predicted(training_run, device, sent, len(chips), _CHIPS[topology.platform])}


def compile_step(run: training.TrainingRun, platform: str) -> jax.stages.Compiled:
  """Compiles one dispatch of one step for the devices of the run's mesh.

  Args:
    run: the result of `workload.abstract_run`.
    platform: platform of the devices, 'tpu' or 'cuda'.
  """
  rep, rows = mesh_lib.replicated(run.mesh), mesh_lib.sharded(run.mesh)
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = run.feed.batch_size
  inputs = {'image': jax.ShapeDtypeStruct((batch, *run.feed.image_shape), jnp.uint8),
            'label': jax.ShapeDtypeStruct((batch,), jnp.int32)}
  with platforms.compile_for(platform):
    state = jax.eval_shape(functools.partial(
        run.train_step.init, image_shape=run.feed.image_shape), key)
    state = jax.tree.map(_placed, state, mesh_lib.stored(state, run.mesh))
    return timing.lower(run, state, _placed(key, rep),
                        jax.tree.map(lambda x: _placed(x, rows), inputs), 1).compile()


def _placed(x: jax.ShapeDtypeStruct, sharding: Any) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _counted(program: jax.stages.Compiled, device: hardware.Device,
             images: int) -> dict[str, Any]:
  """Returns FLOPs and bytes of one chip, and the seconds that follow from them.

  On TPUs the compiler counts them, and the time is that of the whole program. On GPUs
  the compiler does not count. `gpu_program` counts each kernel, and the time is the sum
  over the kernels.
  """
  if costs := program.cost_analysis():
    flops, touched = costs['flops'], costs['bytes accessed']
    return {'flops': flops, 'bytes_accessed': touched,
            'compiler_seconds': max(flops / device.flops, touched / device.bandwidth)}
  found = gpu_program.summary(
      gpu_program.read(program.as_text()), device.flops, device.bandwidth, images)
  return {'flops': found['flops'], 'bytes_accessed': found['bytes'],
          'compiler_seconds': found['seconds'], 'kernels': found}


def _predicted(run: training.TrainingRun, device: hardware.Device,
               sent: list[collectives.Collective], compiled_for: int,
               scaled_to: Sequence[int]) -> dict[str, Any]:
  """Predicts times and scaling by the roofline and the links, without overlap."""
  images, shape = run.feed.batch_size // compiled_for, run.feed.image_shape
  cost = network.cost(run.method, shape)

  def compute(chips):
    loss = network.loss_flops(run.method, shape, images * chips) / chips
    return images * cost.seconds(device) + loss / device.flops

  def communicate(chips):
    return collectives.communication(
        collectives.resized(sent, run.feed.batch_size, compiled_for, chips),
        device.links, chips)

  alone = compute(1)
  if compiled_for == 1:  # the program of one chip has no collectives to predict by
    scaled_to = ()
  return {
      'views_per_image': cost.views, 'images_per_chip': images,
      'train_flops_per_image': cost.train_flops,
      'compute_seconds': compute(compiled_for),
      'communication_seconds': communicate(compiled_for),
      'weak_scaling': [
          {'chips': n, 'compute_seconds': compute(n),
           'communication_seconds': communicate(n),
           'efficiency': alone / (compute(n) + communicate(n))} for n in scaled_to]}
