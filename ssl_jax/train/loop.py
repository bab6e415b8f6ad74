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

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.data import feed as feed_lib
from ssl_jax.methods import base
from ssl_jax.train import (
    checkpoint,
    metrics,
    online_probe,
    preemption,
    profile,
    progress,
)
from ssl_jax.train import mesh as mesh_lib
from ssl_jax.train import step as step_lib

Monitor = Callable[[base.Tree], Mapping[str, float]]  # of an encoder's variables
STEPS_PER_DISPATCH = {'cpu': 1}  # elsewhere up to 32; see step.make_dispatch


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """How long and how exactly: part of what makes two runs the same run."""
  epochs: float = config_lib.field(
      doc='Length of the training; 0 leaves a randomly initialised encoder', low=0)
  precision: str = config_lib.field(
      'auto', choices=('auto', 'float32', 'bfloat16'),
      doc='Type of the computation; auto is float32 on CPUs and bfloat16 elsewhere')
  encoder_chunks: int = config_lib.field(
      1, low=1, doc='Parts in which a batch passes through the encoder, to save memory')
  online_probe: bool = config_lib.field(
      True, doc='Whether a linear classifier is trained beside the encoder, where '
      'images have labels')
  knn_every_epochs: float = config_lib.field(
      0, low=0, doc='How often kNN is scored on validation images; 0 is never')
  knn_examples: int = config_lib.field(
      10_000, low=1, doc='Number of images that kNN searches')
  knn_k: int = config_lib.field(20, low=1, doc='Number of neighbours that vote in kNN')
  monitor_endpoint: str = config_lib.field(
      'pooled', doc='Endpoint that the online probe and kNN use')
  monitor_pool: str | int = config_lib.field(
      'mean', choices=('mean', 'max', 'flatten'), low=1,
      doc='How a feature map becomes a vector for them; a number s averages s x s '
      'regions')


@dataclasses.dataclass(frozen=True)
class LogConfig:
  """What is told and kept: may change from one resume to the next."""
  every_steps: int = config_lib.field(
      50, low=1, doc='Steps from one row of metrics.jsonl to the next')
  checkpoint_every_epochs: float = config_lib.field(
      10, low=0, doc='How often the state is saved; 0 is at the end only')
  max_to_keep: int = config_lib.field(2, low=1, doc='Number of checkpoints that stay')
  tensorboard: bool = config_lib.field(
      True, doc='Whether metrics are also written for TensorBoard')
  profile: bool = config_lib.field(
      False, doc='Whether a few early steps are traced for a profiler')
  steps_per_dispatch: int = config_lib.field(
      0, low=0, doc='Steps that one program runs; 0 is 1 on CPUs and up to 32 '
      'elsewhere')


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
  # Called when the first step is done and its loss finite: marks the workdir as taken.
  claim: Callable[[], None] = lambda: None
  label: str = 'train'

  @property
  def total_steps(self) -> int:
    return whole_steps(self.epochs, self.feed.steps_per_epoch)

  @property
  def train_step(self) -> step_lib.TrainStep:
    return step_lib.TrainStep(self.method, self.tx, self.probe, self.total_steps)

  def steps(self, epochs: float) -> int:
    """An interval in steps; 0 is never."""
    return max(1, round(epochs * self.feed.steps_per_epoch)) if epochs else 0


def whole_steps(epochs: float, steps_per_epoch: int) -> int:
  """Returns the length of a training in steps.

  Raises:
    errors.UserError: it is positive, but less than one step.
  """
  steps = round(epochs * steps_per_epoch)
  if epochs and not steps:
    raise errors.UserError(
        f'config.train.epochs is {epochs:g}, which is not one step where an epoch has '
        f'{steps_per_epoch}; use at least {1 / steps_per_epoch:.2g}, or 0 for a '
        'randomly initialised encoder')
  return steps


def fit(run: Run) -> step_lib.TrainState:
  """Trains to the end, from the newest checkpoint in the workdir if there is one.

  Nothing is written before the first step is done and its loss is finite.

  Raises:
    errors.Preempted: SIGTERM or Ctrl-C came; the state is saved.
    errors.Diverged: the loss is no longer finite; the last good state is kept.
    errors.UserError: the newest checkpoint is of other data or of another state.
  """
  start = time.monotonic()
  checkpoints = checkpoint.Checkpoints(run.workdir / 'checkpoints',
                                       max_to_keep=run.log.max_to_keep)
  # Its context ends after that of the checkpoints, which waits until all is written.
  with preemption.Listener(checkpoints.written) as listener:
    with contextlib.closing(run.feed), checkpoints:
      state, key = _initial_state(run, checkpoints)
      with Reporter(run, state, checkpoints, start) as reporter:
        state = _iterate(run, state, key, checkpoints, reporter, listener)
    if listener.reached():
      raise errors.Preempted(int(state.step), listener.cause)
  return state


def _initial_state(run: Run, checkpoints: checkpoint.Checkpoints
                   ) -> tuple[step_lib.TrainState, jax.Array]:
  """Restores or makes the state; the key is that of all steps."""
  init = functools.partial(run.train_step.init, image_shape=run.feed.image_shape)
  rep = mesh_lib.replicated(run.mesh)
  init_key, key = jax.jit(lambda: tuple(jax.random.split(jax.random.key(run.seed))),
                          out_shardings=rep)()
  state = checkpoints.restore_latest(
      checkpoint.abstract(jax.eval_shape(init, init_key), rep),
      run.config.get('dataset'))
  if state is not None:
    logging.info('%s: resumed from step %d of %d', run.label, int(state.step),
                 run.total_steps)
    return state, key
  state = jax.jit(init, out_shardings=rep)(init_key)
  if run.warm_start is not None:
    state = state.replace(variables=run.warm_start(state.variables))
  return state, key


def _iterate(run: Run, state: step_lib.TrainState, key: jax.Array,
             checkpoints: checkpoint.Checkpoints, reporter: 'Reporter',
             listener: preemption.Listener) -> step_lib.TrainState:
  """Runs the loop proper, to the end or until a signal is answered.

  Metrics are read one dispatch late: the device never waits, but for the first.
  """
  dispatch = step_lib.make_dispatch(run.train_step, run.feed.select, run.mesh)
  per_dispatch = steps_per_dispatch(run)
  step, total = int(state.step), run.total_steps
  save_every = run.steps(run.log.checkpoint_every_epochs)
  watch_every = run.steps(run.monitor_every_epochs) if run.monitor else 0
  pending, stop = None, False  # step and metrics of the dispatch that is under way

  def save():
    checkpoints.save(step, state, run.method.encoder(state.variables), run.config)

  with profile.Profiler(run.workdir, start=step + 10, on=run.log.profile) as profiler:
    while step < total and not stop:
      n = min(per_dispatch, total - step)
      state, row = dispatch(state, key, run.feed.inputs(step, n), n)
      before, step = step, step + n
      if not reporter.begun:
        reporter.report(step, row)
        listener.listen()
      if pending is not None:
        reporter.report(*pending)
      pending = None if step == reporter.last else (step, row)
      profiler.at(step)
      stop = listener.reached()
      watch = crossed(watch_every, before, step)
      if stop or watch or step == total or crossed(save_every, before, step):
        if pending is not None:  # kept only once the loss is known to be finite
          reporter.report(*pending)
        pending = None
        if watch:
          reporter.monitor(step, run.monitor(run.method.encoder(state.variables)))
        save()
        reporter.pause()
  if not checkpoints.steps():  # zero epochs: a randomly initialised encoder
    reporter.begin()
    save()
  return state


class Reporter:
  """Turns the metrics of dispatches into rows, a line of progress, or an error.

  Attributes:
    begun: whether the run has taken its workdir.
    last: the step of the latest report.
  """

  def __init__(self, run: Run, state: step_lib.TrainState,
               checkpoints: checkpoint.Checkpoints, start: float):
    self._run, self._checkpoints = run, checkpoints
    self.begun, self.last = False, int(state.step)
    self._params = jax.eval_shape(lambda x: x, state.variables.params)
    self._start: float | None = start  # until the first dispatch is done
    self._writer = metrics.Writer(run.workdir, resume_step=self.last,
                                  tensorboard=run.log.tensorboard)
    self._progress = progress.Progress(
        total_steps=run.total_steps, steps_per_epoch=run.feed.steps_per_epoch,
        batch_size=run.feed.batch_size, label=run.label)

  def __enter__(self) -> 'Reporter':
    return self

  def __exit__(self, *unused: Any) -> None:
    self._writer.close()
    self._progress.close()

  def begin(self) -> None:
    """Takes the workdir, and leaves a table of all parameters in it."""
    self.begun = True
    self._run.claim()
    logging.info('%s: %s parameters; shapes in parameters.txt', self._run.label,
                 f'{sum(x.size for x in jax.tree.leaves(self._params)):,}')
    if jax.process_index() == 0:
      table = parameter_overview.get_parameter_overview(self._params,
                                                        include_stats=False)
      (self._run.workdir / 'parameters.txt').write_text(table + '\n')

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
    if not self.begun:
      self.begin()
    last = step == self._run.total_steps
    if last or crossed(self._run.log.every_steps, self.last, step):
      self._writer.write(step, {
          'epoch': self._epoch(step),
          'images_per_second': self._progress.images_per_second,
          'train/learning_rate': float(self._run.schedule(step - 1)),
          **{name if '/' in name else f'train/{name}': value
             for name, value in row.items()}})
    if last or self._progress.due:
      self._progress.show(step, row)
    self.last = step

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
