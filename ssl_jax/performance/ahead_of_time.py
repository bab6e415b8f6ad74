"""Compiles the training step ahead of time for chips that need not be present."""

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

# Chips that scaling is predicted for: those of a slice, and of one host with GPUs.
_CHIPS = {'tpu': (8, 64, 256), 'cuda': (2, 4, 8)}


def run(config: dict[str, Any], name: str,
        text: pathlib.Path | None = None) -> dict[str, Any]:
  """Compiles the training step of a plain config; no data and no device are needed.

  The batch has the form that a streamed feed gives. A resident data set would take its
  bytes, which are reported, on every chip in addition.

  Args:
    config: as of `pretrain`.
    name: of the topology, such as 'v5e:16x16' or 'h100'.
    text: the file that the compiled program is written to, if one is.

  Returns:
    The figures that `tables.compiled` formats.

  Raises:
    errors.UserError: as `topologies.describe` and `pretrain.run`.
  """
  topology = topologies.describe(name)
  chips = topology.devices
  train = config['train']
  if train.get('precision', 'auto') == 'auto':  # which here would mean the CPU's
    config = {**config, 'train': {**train, 'precision': 'bfloat16'}}
  plan = workload.abstract_run(config, mesh_lib.data_mesh(chips))
  logging.info('Compiling the training step for %s, %d images on %d chips; large '
               'networks take minutes', name, plan.feed.batch_size, len(chips))
  start = time.perf_counter()
  program = compile_step(plan, topology.platform)
  spent = time.perf_counter() - start
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
      'batch_size': plan.feed.batch_size, 'compile_seconds': spent,
      'resident_data_bytes': workload.random_images(config['data']).nbytes,
      'memory_bytes': {
          'arguments': memory.argument_size_in_bytes,
          'outputs': memory.output_size_in_bytes,
          'of them shared': memory.alias_size_in_bytes,
          'temporary': memory.temp_size_in_bytes,
          'in all': timing.program_bytes(memory), 'of the chip': device.memory},
      **_counted(program, device, plan.feed.batch_size // len(chips)),
      'collectives': [{'op': c.op, 'arrays': c.shapes, 'bytes': c.bytes,
                       'count': c.count} for c in sent],
      **_predicted(plan, device, sent, len(chips), _CHIPS[topology.platform])}


def compile_step(plan: training.TrainingRun, platform: str) -> jax.stages.Compiled:
  """Compiles one dispatch of one step for the devices of the run's mesh.

  Args:
    plan: of `workload.abstract_run`.
    platform: of the devices, 'tpu' or 'cuda'.
  """
  rep, rows = mesh_lib.replicated(plan.mesh), mesh_lib.sharded(plan.mesh)
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = plan.feed.batch_size
  inputs = {'image': jax.ShapeDtypeStruct((batch, *plan.feed.image_shape), jnp.uint8),
            'label': jax.ShapeDtypeStruct((batch,), jnp.int32)}
  with platforms.compile_for(platform):
    state = jax.eval_shape(functools.partial(
        plan.train_step.init, image_shape=plan.feed.image_shape), key)
    state = jax.tree.map(_placed, state, mesh_lib.stored(state, plan.mesh))
    return timing.lower(plan, state, _placed(key, rep),
                        jax.tree.map(lambda x: _placed(x, rows), inputs), 1).compile()


def _placed(x: jax.ShapeDtypeStruct, sharding: Any) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def _counted(program: jax.stages.Compiled, device: hardware.Device,
             images: int) -> dict[str, Any]:
  """FLOPs and bytes of one chip: the compiler's, or of a GPU's program our own count.

  The times follow from them. Of a GPU it is the sum over the kernels; XLA fuses more
  on TPUs, and the time is that of the whole.
  """
  if costs := program.cost_analysis():
    flops, touched = costs['flops'], costs['bytes accessed']
    return {'flops': flops, 'bytes_accessed': touched,
            'compiler_seconds': max(flops / device.flops, touched / device.bandwidth)}
  found = gpu_program.summary(
      gpu_program.read(program.as_text()), device.flops, device.bandwidth, images)
  return {'flops': found['flops'], 'bytes_accessed': found['bytes'],
          'compiler_seconds': found['seconds'], 'kernels': found}


def _predicted(plan: training.TrainingRun, device: hardware.Device,
               sent: list[collectives.Collective], compiled_for: int,
               scaled_to: Sequence[int]) -> dict[str, Any]:
  """Times and scaling by the roofline and the links, nothing overlapped."""
  images, shape = plan.feed.batch_size // compiled_for, plan.feed.image_shape
  cost = network.cost(plan.method, shape)

  def compute(chips):
    loss = network.loss_flops(plan.method, shape, images * chips) / chips
    return images * cost.seconds(device) + loss / device.flops

  def communicate(chips):
    return collectives.communication(
        collectives.resized(sent, plan.feed.batch_size, compiled_for, chips),
        device.links, chips)

  alone = compute(1)
  if compiled_for == 1:  # a program without messages says nothing of others
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
