"""Runs our side of a comparison: the training step with the feed of training."""

import pathlib
from typing import Any

import jax

from benchmarks.harness import trace
from ssl_jax.parallel import provenance
from ssl_jax.performance import network, timing, workload


class Ours:
  """Runs our training step in a `benchmarks.harness.worker` process.

  Args:
    config: plain config of a case.
  """

  def __init__(self, config: dict[str, Any]):
    self._run = workload.training_run(config, 'synthetic')
    self._step = timing.CompiledStep(self._run)

  def describe(self) -> dict[str, Any]:
    """Returns figures of the program and its versions, in types that JSON has."""
    params = self._step.state.variables.params
    stats = jax.local_devices()[0].memory_stats() or {}
    method = self._run.method
    cost = network.cost(method, self._run.feed.image_shape)
    return {'parameters': sum(x.size for x in jax.tree.leaves(params)),
            'platform': jax.default_backend(), **provenance.collect(),
            'compute_dtype': jax.numpy.dtype(method.dtype).name,
            'steps_per_dispatch': self._step.per_dispatch,
            'compile_seconds': self._step.compile_seconds,
            'train_flops_per_image': cost.train_flops,
            'program_memory_bytes': self._step.memory,
            'peak_memory_bytes': stats.get('peak_bytes_in_use')}

  def run(self, steps: int) -> float:
    """Returns the seconds per step of about `steps` steps, at least one dispatch."""
    return self._step.repeat(max(1, round(steps / self._step.per_dispatch)))

  def trace(self, folder: str, dispatches: int) -> dict[str, Any]:
    """Profiles some dispatches, and sums the trace that it writes to `folder`."""
    self._step.repeat(1)
    with jax.profiler.trace(folder):
      seconds = self._step.repeat(dispatches)
    found = trace.kernels(trace.newest(pathlib.Path(folder)))
    return {'seconds_per_step': seconds,
            'steps': dispatches * self._step.per_dispatch, **found}
