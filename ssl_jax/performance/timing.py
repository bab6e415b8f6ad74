"""Times the training step, or another program, in this process.

`benchmarks/harness/compare.py` uses these functions to time programs of two frameworks
in processes of their own, in alternation.
"""

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import logging

from ssl_jax import errors
from ssl_jax.data import feed as feed_lib
from ssl_jax.data import streamed
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import step as step_lib
from ssl_jax.train import training

Tree = Any
Sampler = Callable[[], float]
WINDOW = 1.0  # the least seconds of a sample
_READY = 4    # number of batches that a streamed feed prepares on the host and devices


@dataclasses.dataclass(frozen=True)
class Samples:
  """Holds repeated measurements of one time, in seconds."""
  seconds: tuple[float, ...]

  @property
  def median(self) -> float:
    return statistics.median(self.seconds)

  def summary(self) -> dict[str, float]:
    return summary(self.seconds)


def summary(values: Sequence[float]) -> dict[str, float]:
  """Returns the median and the range of samples."""
  return {'median': statistics.median(values), 'min': min(values), 'max': max(values)}


class CompiledStep:
  """Compiles the training step of a run, and repeats it.

  Attributes:
    per_dispatch: number of steps of one call, as in training.
    compile_seconds: seconds of the compilation, without the persistent cache.
    first_step_seconds: seconds of initialisation, compilation and one dispatch.
    memory: bytes per device that the program needs, as counted by the compiler; None
      if it does not count.
  """

  def __init__(self, run: training.TrainingRun):
    self._run, self.per_dispatch = run, training.steps_per_dispatch(run)
    start = time.perf_counter()
    rep = mesh_lib.replicated(run.mesh)
    init_key, self.key = jax.jit(
        lambda: tuple(jax.random.split(jax.random.key(run.seed))), out_shardings=rep)()
    state = jax.jit(functools.partial(
        run.train_step.init, image_shape=run.feed.image_shape),
        out_shardings=rep)(init_key)
    self.state = jax.device_put(state, mesh_lib.stored(state, run.mesh))
    self._next_step = 0  # the first step that the feed has not been asked for
    inputs = run.feed.inputs(0, self.per_dispatch)
    logging.info('Compiling the training step, %d per dispatch; this takes seconds to '
                 'minutes', self.per_dispatch)
    compiling = time.perf_counter()
    self._dispatch = lower(run, self.state, self.key, inputs,
                           self.per_dispatch).compile()
    self.compile_seconds = time.perf_counter() - compiling
    stats = self._dispatch.memory_analysis()
    self.memory = program_bytes(stats) if stats else None
    self.repeat(1)
    self.first_step_seconds = time.perf_counter() - start

  def repeat(self, dispatches: int, inputs: Tree = None) -> float:
    """Returns the seconds of one step, the mean over some dispatches.

    It reads the last loss, which is there when all dispatches are done.

    Args:
      dispatches: number of dispatches, one after the other.
      inputs: inputs of every dispatch; None asks the feed for each, as training does.

    Raises:
      errors.UserError: the loss is not finite.
    """
    start, n = time.perf_counter(), self.per_dispatch
    for _ in range(dispatches):
      now = inputs or self._run.feed.inputs(self._next_step, n)
      self.state, metrics = self._dispatch(self.state, self.key, now)
      self._next_step += 0 if inputs else n
    loss = float(metrics['loss'])
    if not math.isfinite(loss):
      raise errors.UserError(
          f'the loss is {loss} after {int(self.state.step)} steps, so that the speed '
          'has no meaning; lower config.optim.learning_rate')
    return (time.perf_counter() - start) / (dispatches * n)

  def inputs(self) -> Tree:
    """Returns the inputs of the next dispatch, which will get the same inputs."""
    return self._run.feed.inputs(self._next_step, self.per_dispatch)


def lower(run: training.TrainingRun, state: Tree, key: Any, inputs: Tree,
          steps: int) -> jax.stages.Lowered:
  """Lowers the program that training runs.

  Args:
    run: the run.
    state: its training state, or the shapes and shardings.
    key: the PRNG key of the run, or its shape and sharding.
    inputs: inputs of one dispatch, or their shapes and shardings.
    steps: number of steps of one dispatch.
  """
  dispatch = step_lib.make_dispatch(run.train_step, run.feed.select, run.mesh, state)
  return dispatch.lower(state, key, inputs, steps)


def program_bytes(stats: Any) -> int:
  """Returns the bytes that a compiled program needs at once on each device."""
  return (stats.argument_size_in_bytes + stats.output_size_in_bytes
          - stats.alias_size_in_bytes + stats.temp_size_in_bytes)


def samplers(step: CompiledStep, feed: feed_lib.Feed) -> tuple[Sampler, Sampler]:
  """Returns samplers of a step with its feed, and on inputs already on the devices.

  A sampler returns the seconds of one step. A sample lasts a second, or one dispatch if
  that is longer.
  """
  rough = step.repeat(1)  # the constructor made a first call, which filled caches
  calls = calls_per_sample(rough * step.per_dispatch)
  logging.info('A sample is %d steps, about %.2g s', calls * step.per_dispatch,
               rough * step.per_dispatch * calls)
  inputs = step.inputs()

  def with_feed():
    if isinstance(feed, streamed.StreamedFeed):
      step.repeat(_READY)  # uses the batches that were prepared since the last sample
    return step.repeat(calls)

  return with_feed, lambda: step.repeat(calls, inputs)


def sampler(program: Callable[[], Tree]) -> Sampler:
  """Returns a sampler of the seconds of one call; the first calls are made here."""
  def seconds(calls):
    start = time.perf_counter()
    for _ in range(calls):
      jax.block_until_ready(program())
    return (time.perf_counter() - start) / calls

  seconds(1)
  calls = calls_per_sample(min(seconds(1) for _ in range(2)))
  return lambda: seconds(calls)


def calls_per_sample(seconds: float, most: int = 100) -> int:
  """Returns the number of calls that last `WINDOW`, if one takes `seconds`."""
  return max(1, min(most, math.ceil(WINDOW / max(seconds, 1e-9))))
