"""Measures the training step of a run on the devices of this host."""

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
    config: plain config of `pretrain`.
    data: 'synthetic' (random images, read without decoding) or 'real'.
    repeats: number of samples of each time; the result has their median and range.

  Returns:
    The figures that `tables.measured` formats. If the peak of the device is unknown,
    those that need it are left out.

  Raises:
    errors.UserError: the config is not accepted, or the loss is not finite.
  """
  origin = provenance.collect()
  training_run = workload.training_run(config, data)
  feed, method = training_run.feed, training_run.method
  try:
    device = find_device(training_run)
    cost = network.cost(method, feed.image_shape)
    step = timing.CompiledStep(training_run)
    memory = _memory(step)  # before the programs of the parts need memory
    times = sample_parts(training_run, step, repeats)
  finally:
    feed.close()
  with_feed, without_feed = (timing.Samples(tuple(times[name]))
                             for name in ('with feed', 'without feed'))
  batch, n = feed.batch_size, independent_devices(training_run)
  return {
      **origin, 'config': config, 'data': data, 'repeats': repeats,
      'batch_size': batch, 'views_per_image': cost.views,
      'compute_dtype': jax.numpy.dtype(method.dtype).name,
      'feed': type(feed).__name__, 'steps_per_dispatch': step.per_dispatch,
      'images_per_second': _rates(with_feed, batch),
      'views_per_second': _rates(with_feed, batch * cost.views),
      'step_seconds': with_feed.summary(),
      'train_flops_per_image': cost.train_flops,
      **_against(device, cost, batch / with_feed.median / n, n), **memory,
      'compile_seconds': step.compile_seconds,
      'first_step_seconds': step.first_step_seconds,
      'split_seconds': _split(with_feed, without_feed, breakdown.parts(times))}


def sample_parts(run: training.TrainingRun, step: timing.CompiledStep,
                 repeats: int) -> dict[str, list[float]]:
  """Measures the seconds of the step and of the programs of its parts.

  A round takes one sample of each, so that changes in the load of the host affect all.

  Args:
    run: the run that is measured.
    step: its compiled step.
    repeats: number of rounds.

  Returns:
    The samples of each by name. 'with feed' is the whole step, and 'without feed' is
    the step on inputs that are already on the devices.
  """
  with_feed, without_feed = timing.samplers(step, run.feed)
  samplers = {'with feed': with_feed, 'without feed': without_feed}
  for name, program in breakdown.programs(run, step.state, step.key).items():
    logging.info('Compiling a part of the step separately: %s', name)
    samplers[name] = timing.sampler(program)
  times = {name: [] for name in samplers}
  for i in range(repeats):
    logging.info('Round %d of %d', i + 1, repeats)
    for name, sample in samplers.items():
      times[name].append(sample())
  return times


def _split(with_feed: timing.Samples, without_feed: timing.Samples,
           parts: Mapping[str, timing.Samples]) -> dict[str, dict[str, float]]:
  """Returns the seconds of the parts, of the rest of the step, and of input wait."""
  wait = timing.Samples(tuple(
      breakdown.difference(with_feed.seconds, without_feed.seconds)))
  rest = with_feed.median - wait.median - sum(p.median for p in parts.values())
  return {**{name: p.summary() for name, p in parts.items()},
          'other': {'median': rest},
          'input wait': wait.summary()}


def _rates(samples: timing.Samples, per_step: float) -> dict[str, float]:
  return {'median': per_step / samples.median, 'min': per_step / max(samples.seconds),
          'max': per_step / min(samples.seconds)}


def independent_devices(run: training.TrainingRun) -> int:
  """Returns the number of devices that share no hardware.

  The CPU devices of a process share its CPU and count as one.
  """
  return (jax.process_count() if jax.default_backend() == 'cpu' else run.mesh.size)


def find_device(run: training.TrainingRun) -> hardware.Device | None:
  """Returns the peak speeds of a device of the run; None if they are unknown."""
  device = run.mesh.local_devices[0]
  if device.platform == 'cpu':
    logging.info('Measuring the peak speeds of this CPU')
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return hardware.measure_cpu(memory)
  found = hardware.find(device.device_kind)
  if found is None:
    logging.warning('%s is not in the table of ssl_jax/performance/hardware.py, so MFU '
                    'and the fraction of the roofline are left out; add its peaks to '
                    'the table', device.device_kind)
  return found


def _against(device: hardware.Device | None, cost: network.Cost, images: float,
             n: int) -> dict[str, Any]:
  """Compares the speed of one device with its peaks.

  Args:
    device: the peaks of the device; None if they are unknown.
    cost: the cost of an image.
    images: images per second of one device.
    n: number of devices.
  """
  if device is None:
    return {}
  roof = 1 / cost.seconds(device)
  return {'device': {'name': device.name, 'flops_per_second': device.flops,
                     'bytes_per_second': device.bandwidth},
          'mfu': images * cost.train_flops / device.flops,
          'roofline_images_per_second': roof * n,
          'roofline_fraction': images / roof}


def _memory(step: timing.CompiledStep) -> dict[str, Any]:
  """Returns the peak memory of the first device, and the source of the number."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if peak := stats.get('peak_bytes_in_use'):
    return {'peak_memory_bytes': peak, 'peak_memory_source': 'device'}
  return {'peak_memory_bytes': step.memory, 'peak_memory_source': 'compiler'}
