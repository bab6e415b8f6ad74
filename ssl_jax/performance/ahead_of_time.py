"""Compiles the training step ahead of time for a TPU slice that need not be present."""

import functools
import importlib.metadata
import importlib.util
import os
import re
import time
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging
from jax.experimental import topologies

from ssl_jax import errors
from ssl_jax.models import conv
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import provenance
from ssl_jax.performance import (
  collectives,
  hardware,
  network,
  timing,
  workload,
)
from ssl_jax.train import training

GENERATIONS = ('v4', 'v5e', 'v5p', 'v6e')
_EXAMPLES = 'v4:4x4x4, v5e:2x4, v5e:16x16, v5p:2x2x2, v6e:8x8'
_CHIPS = (8, 64, 256)  # that scaling is predicted for
# libtpu asks a cloud host what it is; this host need not be one. The type only
# silences it, the topology decides.
_ENVIRONMENT = {'TPU_SKIP_MDS_QUERY': '1', 'TPU_WORKER_HOSTNAMES': 'localhost',
                'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
                'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'}


def describe(name: str) -> list[jax.Device]:
  """The chips of a slice such as 'v5e:16x16', to compile for.

  Raises:
    errors.UserError: there is no such slice, or libtpu is not installed.
  """
  generation, _, layout = name.partition(':')
  if generation not in GENERATIONS or not re.fullmatch(r'\d+(x\d+){1,2}', layout):
    raise errors.UserError(
        f'--topology is {name!r}; give one of {", ".join(GENERATIONS)} and the layout '
        f'of its chips, for example {_EXAMPLES}')
  if importlib.util.find_spec('libtpu') is None:
    raise errors.UserError(
        '--topology needs the TPU compiler, though no TPU; install it by '
        "pip install -e '.[tpu]'")
  for variable, value in _ENVIRONMENT.items():
    os.environ.setdefault(variable, value)
  options = {'chip_config_name': 'megacore'} if generation == 'v4' else {}
  try:
    return list(topologies.get_topology_desc(
        platform='tpu', topology_name=name, **options).devices)
  except jax.errors.JaxRuntimeError as e:
    raise errors.UserError(
        f'--topology is {name!r}, which the TPU compiler does not know '
        f'({str(e).splitlines()[0]}); examples are {_EXAMPLES}') from e


def run(config: dict[str, Any], name: str) -> dict[str, Any]:
  """Compiles the training step of a plain config; no data and no TPU are needed.

  The batch has the form that a streamed feed gives. A resident data set would take its
  bytes, which are reported, on every chip in addition.

  Returns:
    The figures that `tables.compiled` formats.

  Raises:
    errors.UserError: as `describe` and `pretrain.run`.
  """
  chips = describe(name)
  train = config['train']
  if train.get('precision', 'auto') == 'auto':  # which here would mean the CPU's
    config = {**config, 'train': {**train, 'precision': 'bfloat16'}}
  plan = workload.abstract_run(config, mesh_lib.data_mesh(chips))
  logging.info('Compiling the training step for %s, %d images on %d chips; large '
               'networks take minutes', name, plan.feed.batch_size, len(chips))
  start = time.perf_counter()
  program = _compile(plan)
  spent = time.perf_counter() - start
  logging.info('Compiled; counting FLOPs and bytes')
  sent = collectives.parse(program.as_text())
  device = hardware.find(chips[0].device_kind)
  costs = program.cost_analysis()
  memory = program.memory_analysis()
  return {
      'commit': provenance.collect()['commit'], 'jax': jax.__version__,
      'libtpu': importlib.metadata.version('libtpu'),
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
      'flops': costs['flops'], 'bytes_accessed': costs['bytes accessed'],
      'compiler_seconds': max(costs['flops'] / device.flops,
                              costs['bytes accessed'] / device.bandwidth),
      'collectives': [{'op': c.op, 'arrays': c.shapes, 'bytes': c.bytes,
                       'count': c.count} for c in sent],
      **_predicted(plan, device, sent, len(chips))}


def _compile(plan: training.TrainingRun) -> jax.stages.Compiled:
  rep, rows = mesh_lib.replicated(plan.mesh), mesh_lib.sharded(plan.mesh)
  key = jax.eval_shape(lambda: jax.random.key(0))
  batch = plan.feed.batch_size
  inputs = {'image': jax.ShapeDtypeStruct((batch, *plan.feed.image_shape), jnp.uint8),
            'label': jax.ShapeDtypeStruct((batch,), jnp.int32)}
  with conv.platform('tpu'):
    state = jax.eval_shape(functools.partial(
        plan.train_step.init, image_shape=plan.feed.image_shape), key)
    return timing.lower(plan, _placed(state, rep), _placed(key, rep),
                        _placed(inputs, rows), 1).compile()


def _placed(tree: Any, sharding: jax.sharding.NamedSharding) -> Any:
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _predicted(plan: training.TrainingRun, device: hardware.Device,
               sent: list[collectives.Collective], compiled_for: int) -> dict[str, Any]:
  """Times and scaling by the roofline and the links, nothing overlapped."""
  images, shape = plan.feed.batch_size // compiled_for, plan.feed.image_shape
  cost = network.cost(plan.method, shape)

  def compute(chips):
    loss = network.loss_flops(plan.method, shape, images * chips) / chips
    return images * cost.seconds(device) + loss / device.flops

  def communicate(chips):
    return collectives.communication(
        collectives.resized(sent, plan.feed.batch_size, compiled_for, chips),
        device.torus, chips)

  alone = compute(1)
  return {
      'views_per_image': cost.views, 'images_per_chip': images,
      'train_flops_per_image': cost.train_flops,
      'compute_seconds': compute(compiled_for),
      'communication_seconds': communicate(compiled_for),
      'weak_scaling': [
          {'chips': n, 'compute_seconds': compute(n),
           'communication_seconds': communicate(n),
           'efficiency': alone / (compute(n) + communicate(n))} for n in _CHIPS]}
