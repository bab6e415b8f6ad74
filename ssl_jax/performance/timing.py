"""The training step on the devices at hand: how long it takes."""

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable
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
WINDOW = 1.0  # seconds that one sample lasts at least
_READY = 4    # batches that a streamed feed keeps, on the host and on devices


@dataclasses.dataclass(frozen=True)
class Samples:
  """Seconds of one thing, measured several times."""
  seconds: tuple[float, ...]

  @property
  def median(self) -> float:
    return statistics.median(self.seconds)

  def summary(self) -> dict[str, float]:
    return {'median': self.median, 'min': min(self.seconds), 'max': max(self.seconds)}


class CompiledStep:
  """The training step of a run, compiled and ready to be repeated.

  Attributes:
    per_dispatch: steps in one call, as in training.
    compile_seconds: without the persistent cache.
    first_step_seconds: from nothing to the first loss: parameters, compilation
      and one dispatch.
    memory: bytes per device that the program needs, by the compiler's account.
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
    self._asked = 0  # steps that the feed was asked for
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
    """Seconds of one step; the last loss is read, and with it all are done.

    Args:
      dispatches: how many in a row.
      inputs: of the feed, used again and again; None asks the feed each time, as
        training does.

    Raises:
      errors.UserError: the loss is not finite.
    """
    start, n = time.perf_counter(), self.per_dispatch
    for _ in range(dispatches):
      now = inputs or self._run.feed.inputs(self._asked, n)
      self.state, row = self._dispatch(self.state, self.key, now)
      self._asked += 0 if inputs else n
    loss = float(row['loss'])
    if not math.isfinite(loss):
      raise errors.UserError(
          f'the loss is {loss} after {int(self.state.step)} steps, so that the speed '
          'means nothing; lower config.optim.learning_rate')
    return (time.perf_counter() - start) / (dispatches * n)

  def inputs(self) -> Tree:
    """Returns the inputs of the next dispatch, and does not advance."""
    return self._run.feed.inputs(self._asked, self.per_dispatch)


def lower(run: training.TrainingRun, state: Tree, key: Any, inputs: Tree,
          steps: int) -> jax.stages.Lowered:
  """The program that training runs; its arguments may be shapes."""
  dispatch = step_lib.make_dispatch(run.train_step, run.feed.select, run.mesh, state)
  return dispatch.lower(state, key, inputs, steps)


def program_bytes(stats: Any) -> int:
  """Returns the bytes that a compiled program needs at once on each device."""
  return (stats.argument_size_in_bytes + stats.output_size_in_bytes
          - stats.alias_size_in_bytes + stats.temp_size_in_bytes)


def samplers(step: CompiledStep, feed: feed_lib.Feed) -> tuple[Sampler, Sampler]:
  """Seconds of a step with its feed, and on inputs that are already there.

  A sample lasts a second, or one dispatch if that is longer.
  """
  rough = step.repeat(1)  # the first had caches to fill
  calls = calls_per_sample(rough * step.per_dispatch)
  logging.info('A sample is %d steps, about %.2g s', calls * step.per_dispatch,
               rough * step.per_dispatch * calls)
  inputs = step.inputs()

  def fed():
    if isinstance(feed, streamed.StreamedFeed):
      step.repeat(_READY)  # first uses up what was prepared in the meantime
    return step.repeat(calls)

  return fed, lambda: step.repeat(calls, inputs)


def sampler(program: Callable[[], Tree]) -> Sampler:
  """Seconds of one call, as above; the first calls are made here."""
  def seconds(calls):
    start = time.perf_counter()
    for _ in range(calls):
      jax.block_until_ready(program())
    return (time.perf_counter() - start) / calls

  seconds(1)
  calls = calls_per_sample(min(seconds(1) for _ in range(2)))
  return lambda: seconds(calls)


def calls_per_sample(seconds: float) -> int:
  return max(1, min(100, math.ceil(WINDOW / max(seconds, 1e-9))))
