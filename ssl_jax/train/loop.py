"""fit(): the only place that iterates, logs, checkpoints and evaluates."""

import contextlib
import dataclasses
import functools
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax
from absl import logging
from clu import parameter_overview

from ssl_jax import errors
from ssl_jax.data import feed as feed_lib
from ssl_jax.methods import base
from ssl_jax.train import checkpoint, metrics, online_probe, preemption, profile
from ssl_jax.train import mesh as mesh_lib
from ssl_jax.train import step as step_lib

Monitor = Callable[[base.Tree], Mapping[str, float]]  # of an encoder's variables
STEPS_PER_DISPATCH = {'cpu': 1}  # elsewhere up to 32; see step.make_dispatch


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """How long and how exactly: part of what makes two runs the same run."""
  epochs: float
  precision: str = 'auto'         # 'bfloat16', 'float32'; auto: float32 on CPU only
  encoder_chunks: int = 1         # parts of a batch, see methods.chunks.forward
  online_probe: bool = True       # watch a linear classifier; needs labels
  knn_every_epochs: float = 0     # watch kNN on a validation split; 0: never
  knn_examples: int = 10_000      # that it looks into
  knn_k: int = 20                 # 1: the nearest neighbour
  monitor_endpoint: str = 'pooled'  # what both of them watch
  monitor_pool: str | int = 'mean'  # and how that becomes a vector


@dataclasses.dataclass(frozen=True)
class LogConfig:
  """What is told and kept: may change from one resume to the next."""
  every_steps: int = 50
  checkpoint_every_epochs: float = 10  # 0: at the end alone
  max_to_keep: int = 2
  tensorboard: bool = True
  profile: bool = False                # trace a few early steps
  steps_per_dispatch: int = 0          # 0: 1 on the CPU, up to 32 elsewhere


@dataclasses.dataclass(frozen=True)
class Run:
  """One training run: what is trained, on what, and where it is kept."""
  method: base.Method
  tx: optax.GradientTransformation
  schedule: optax.Schedule             # of the learning rate, for the log
  feed: feed_lib.Feed
  mesh: jax.sharding.Mesh
  workdir: pathlib.Path
  config: Mapping[str, Any]            # plain; saved in every checkpoint
  seed: int
  epochs: float
  log: LogConfig = LogConfig()
  probe: online_probe.OnlineProbe | None = None
  monitor: Monitor | None = None
  monitor_every_epochs: float = 0
  # Applied to fresh variables, never on a resume: puts a trained encoder in.
  warm_start: Callable[[base.Variables], base.Variables] | None = None
  label: str = 'train'

  @property
  def total_steps(self) -> int:
    return round(self.epochs * self.feed.steps_per_epoch)

  @property
  def train_step(self) -> step_lib.TrainStep:
    return step_lib.TrainStep(self.method, self.tx, self.probe, self.total_steps)

  def steps(self, epochs: float) -> int:
    """An interval in steps; 0 is never."""
    return max(1, round(epochs * self.feed.steps_per_epoch)) if epochs else 0


def fit(run: Run) -> step_lib.TrainState:
  """Trains to the end, from the newest checkpoint in the workdir if there is one.

  Raises:
    errors.Preempted: SIGTERM came; the state is saved.
    errors.Diverged: the loss is no longer finite; the last good state is kept.
  """
  start = time.monotonic()
  init = functools.partial(run.train_step.init, image_shape=run.feed.image_shape)
  rep = mesh_lib.replicated(run.mesh)
  init_key, key = jax.jit(lambda: tuple(jax.random.split(jax.random.key(run.seed))),
                          out_shardings=rep)()
  with contextlib.closing(run.feed), checkpoint.Checkpoints(
      run.workdir / 'checkpoints', max_to_keep=run.log.max_to_keep) as checkpoints:
    state = checkpoints.restore_latest(
        checkpoint.abstract(jax.eval_shape(init, init_key), rep))
    if state is None:
      state = jax.jit(init, out_shardings=rep)(init_key)
      if run.warm_start is not None:
        state = state.replace(variables=run.warm_start(state.variables))
      _describe(run, state.variables.params)
    else:
      logging.info('%s: resumed from step %d of %d', run.label, int(state.step),
                   run.total_steps)
    with Reporter(run, int(state.step), checkpoints, start) as reporter:
      return _iterate(run, state, key, checkpoints, reporter)


def _describe(run: Run, params: base.Tree) -> None:
  """Leaves a table of all parameters in the workdir."""
  logging.info('%s: %s parameters; shapes in parameters.txt', run.label,
               f'{sum(x.size for x in jax.tree.leaves(params)):,}')
  if jax.process_index() == 0:
    table = parameter_overview.get_parameter_overview(params, include_stats=False)
    (run.workdir / 'parameters.txt').write_text(table + '\n')


def _iterate(run: Run, state: step_lib.TrainState, key: jax.Array,
             checkpoints: checkpoint.Checkpoints,
             reporter: 'Reporter') -> step_lib.TrainState:
  """The loop proper. Metrics are read one dispatch late: the device never waits."""
  dispatch = step_lib.make_dispatch(run.train_step, run.feed.select, run.mesh)
  per_dispatch = steps_per_dispatch(run)
  step, total = int(state.step), run.total_steps
  save_every = run.steps(run.log.checkpoint_every_epochs)
  watch_every = run.steps(run.monitor_every_epochs) if run.monitor else 0
  pending = None  # step and metrics of the dispatch that is under way

  def save():
    checkpoints.save(step, state, run.method.encoder(state.variables), run.config)

  with preemption.Listener() as listener, \
      profile.Profiler(run.workdir, start=step + 10, on=run.log.profile) as profiler:
    while step < total:
      n = min(per_dispatch, total - step)
      state, row = dispatch(state, key, run.feed.inputs(step, n), n)
      before, step = step, step + n
      if pending is not None:
        reporter.report(*pending)
      pending = (step, row)
      profiler.at(step)
      stop = listener.reached()
      watch = crossed(watch_every, before, step)
      if stop or watch or step == total or crossed(save_every, before, step):
        reporter.report(*pending)  # kept only once the loss is known to be finite
        pending = None
        if watch:
          reporter.monitor(step, run.monitor(run.method.encoder(state.variables)))
        save()
        reporter.pause()
      if stop and step < total:
        raise errors.Preempted(step)
  if not checkpoints.steps():
    save()  # zero epochs: a randomly initialised encoder
  return state


class Reporter:
  """Turns the metrics of dispatches into rows, a line of progress, or an error."""

  def __init__(self, run: Run, step: int, checkpoints: checkpoint.Checkpoints,
               start: float):
    self._run, self._checkpoints, self._last = run, checkpoints, step
    self._start: float | None = start  # until the first dispatch is done
    self._writer = metrics.Writer(run.workdir, resume_step=step,
                                  tensorboard=run.log.tensorboard)
    self._progress = metrics.Progress(
        total_steps=run.total_steps, steps_per_epoch=run.feed.steps_per_epoch,
        batch_size=run.feed.batch_size, label=run.label)

  def __enter__(self) -> 'Reporter':
    return self

  def __exit__(self, *unused: Any) -> None:
    self._writer.close()
    self._progress.close()

  def report(self, step: int, row: Mapping[str, jax.Array]) -> None:
    """Waits for the dispatch that ended at `step`.

    Raises:
      errors.Diverged: its loss or gradient is not finite.
    """
    row = {name: float(value) for name, value in jax.device_get(row).items()}
    self._progress.tick(step)
    if self._start is not None:
      logging.info('%s: step %d after %.3g s, compilation included', self._run.label,
                   step, time.monotonic() - self._start)
      self._start = None
    if not all(math.isfinite(row[name]) for name in ('loss', 'grad_norm')):
      raise errors.Diverged(self._diverged(step, row))
    last = step == self._run.total_steps
    if last or crossed(self._run.log.every_steps, self._last, step):
      self._writer.write(step, {
          'epoch': self._epoch(step),
          'images_per_second': self._progress.images_per_second,
          'train/learning_rate': float(self._run.schedule(step - 1)),
          **{name if '/' in name else f'train/{name}': value
             for name, value in row.items()}})
    if last or self._progress.due:
      self._progress.show(step, row)
    self._last = step

  def monitor(self, step: int, row: Mapping[str, float]) -> None:
    self._writer.write(step, {'epoch': self._epoch(step), **row})
    self._progress.note(row)

  def pause(self) -> None:
    """The time since the last report was not training."""
    self._progress.pause()

  def _epoch(self, step: int) -> float:
    return step / self._run.feed.steps_per_epoch

  def _diverged(self, step: int, row: Mapping[str, float]) -> str:
    kept = self._checkpoints.steps()
    return (f'the loss is {row["loss"]} and the gradient norm {row["grad_norm"]} at '
            f'step {step}; '
            + (f'the last good checkpoint is step {kept[-1]}' if kept
               else 'there is no checkpoint yet')
            + '; lower config.optim.learning_rate or lengthen the warm-up')


def crossed(every: int, before: int, after: int) -> bool:
  """Whether a multiple of `every` lies in (before, after]; 0 is never."""
  return bool(every) and after // every > before // every


def steps_per_dispatch(run: Run) -> int:
  """As the config asks, or as suits the platform; at most what the feed can.

  Where the config does not ask, a number that divides the steps of the run, if there
  is one of any size: what is left at the end would be a program of its own.
  """
  asked = run.log.steps_per_dispatch
  most = min(asked or STEPS_PER_DISPATCH.get(jax.default_backend(), 32),
             run.feed.max_steps_per_dispatch)
  fits = (n for n in range(most, most // 4, -1) if run.total_steps % n == 0)
  return most if asked else next(fits, most)
