"""A run on the devices at hand -> one dictionary of figures."""

import os
from collections.abc import Mapping
from typing import Any

import jax
from absl import logging

from ssl_jax.parallel import provenance
from ssl_jax.performance import breakdown, hardware, network, timing, workload
from ssl_jax.train import training


def run(config: dict[str, Any], data: str, repeats: int) -> dict[str, Any]:
  """Measures the training step of a plain config.

  Args:
    config: as of `pretrain`.
    data: 'synthetic' (random images, read without decoding) or 'real'.
    repeats: samples of everything; the median and the range are given.

  Returns:
    The figures that `tables.measured` formats, without those unknown for the device.

  Raises:
    errors.UserError: as `pretrain.run`; the loss is not finite.
  """
  origin = provenance.collect()
  plan = workload.training_run(config, data)
  try:
    device = find_device(plan)
    cost = network.cost(plan.method, plan.feed.image_shape)
    step = timing.CompiledStep(plan)
    memory = _memory(step)  # before the parts take theirs
    times = sample_parts(plan, step, repeats)
  finally:
    plan.feed.close()
  fed, held = (timing.Samples(tuple(times[name])) for name in ('fed', 'held'))
  batch, n = plan.feed.batch_size, independent_devices(plan)
  return {
      **origin, 'config': config, 'data': data, 'repeats': repeats,
      'batch_size': batch, 'views_per_image': cost.views,
      'compute_dtype': jax.numpy.dtype(plan.method.dtype).name,
      'feed': type(plan.feed).__name__, 'steps_per_dispatch': step.per_dispatch,
      'images_per_second': _rates(fed, batch),
      'views_per_second': _rates(fed, batch * cost.views),
      'step_seconds': fed.summary(),
      'train_flops_per_image': cost.train_flops,
      **_against(device, cost, batch / fed.median / n, n), **memory,
      'compile_seconds': step.compile_seconds,
      'first_step_seconds': step.first_step_seconds,
      'split_seconds': _split(fed, held, breakdown.parts(times))}


def sample_parts(plan: training.TrainingRun, step: timing.CompiledStep,
           repeats: int) -> dict[str, list[float]]:
  """Seconds of the step and of its parts, in turns: the host's moods hit all."""
  fed, held = timing.samplers(step, plan.feed)
  samplers = {'fed': fed, 'held': held}
  for name, program in breakdown.programs(plan, step.state, step.key).items():
    logging.info('Compiling on its own: %s', name)
    samplers[name] = timing.sampler(program)
  times = {name: [] for name in samplers}
  for i in range(repeats):
    logging.info('Round %d of %d', i + 1, repeats)
    for name, sample in samplers.items():
      times[name].append(sample())
  return times


def _split(fed: timing.Samples, held: timing.Samples,
           parts: Mapping[str, timing.Samples]) -> dict[str, dict[str, float]]:
  """The parts in their order, then what they leave, then the wait for input."""
  wait = timing.Samples(tuple(breakdown.difference(fed.seconds, held.seconds)))
  rest = fed.median - wait.median - sum(p.median for p in parts.values())
  return {**{name: p.summary() for name, p in parts.items()},
          'other': {'median': rest},
          'input wait': wait.summary()}


def _rates(samples: timing.Samples, per_step: float) -> dict[str, float]:
  return {'median': per_step / samples.median, 'min': per_step / max(samples.seconds),
          'max': per_step / min(samples.seconds)}


def independent_devices(plan: training.TrainingRun) -> int:
  """Devices with means of their own; CPU devices of a process share theirs."""
  return (jax.process_count() if jax.default_backend() == 'cpu' else plan.mesh.size)


def find_device(plan: training.TrainingRun) -> hardware.Device | None:
  device = plan.mesh.local_devices[0]
  if device.platform == 'cpu':
    logging.info('Measuring what this CPU can do')
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return hardware.measure_cpu(memory)
  found = hardware.find(device.device_kind)
  if found is None:
    logging.warning('%s is not in the table of ssl_jax/performance/hardware.py, so MFU '
                    'and the share of the roofline are left out', device.device_kind)
  return found


def _against(device: hardware.Device | None, cost: network.Cost, images: float,
             n: int) -> dict[str, Any]:
  """The speed of one device, `images` per second, against what it could be."""
  if device is None:
    return {}
  roof = 1 / cost.seconds(device)
  return {'device': {'name': device.name, 'flops_per_second': device.flops,
                     'bytes_per_second': device.bandwidth},
          'mfu': images * cost.train_flops / device.flops,
          'roofline_images_per_second': roof * n,
          'roofline_fraction': images / roof}


def _memory(step: timing.CompiledStep) -> dict[str, Any]:
  """Bytes on the first device."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if peak := stats.get('peak_bytes_in_use'):
    return {'peak_memory_bytes': peak, 'peak_memory_source': 'device'}
  return {'peak_memory_bytes': step.memory, 'peak_memory_source': 'compiler'}
