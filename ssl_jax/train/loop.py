"""fit(): the only place that iterates, logs, checkpoints and evaluates."""

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
from ssl_jax.train import checkpoint, metrics, online_probe, preemption
from ssl_jax.train import mesh as mesh_lib
from ssl_jax.train import step as step_lib

Monitor = Callable[[base.Tree], Mapping[str, float]]  # of an encoder's variables
STEPS_PER_DISPATCH = {'cpu': 1}  # see step.make_dispatch
DEFAULT_STEPS_PER_DISPATCH = 32


@dataclasses.dataclass(frozen=True)
class TrainConfig:
  """How long, how exactly. Part of what makes two runs the same run."""
  epochs: float
  precision: str = 'auto'         # 'bfloat16', 'float32'; auto: float32 on CPU only
  online_probe: bool = True       # watch a linear classifier; needs labels
  knn_every_epochs: float = 0     # watch kNN on the validation split; 0: never
  knn_examples: int = 10_000      # of the bank that it looks into


@dataclasses.dataclass(frozen=True)
class LogConfig:
  """What is told and kept. May change from one resume to the next."""
  every_steps: int = 50
  checkpoint_every_epochs: float = 10
  max_to_keep: int = 2
  tensorboard: bool = True
  profile: bool = False           # a JAX profiler trace of a few early steps
  steps_per_dispatch: int = 0     # 0: 1 on the CPU, 32 elsewhere


@dataclasses.dataclass(frozen=True)
class Run:
  """One training run: what is trained, on what, and where it is kept."""
  method: base.Method
  tx: optax.GradientTransformation
  feed: feed_lib.Feed
  mesh: jax.sharding.Mesh
  workdir: pathlib.Path
  config: Mapping[str, Any]       # plain; saved in every checkpoint
  seed: int
  epochs: float
  image_shape: tuple[int, int, int]
  log: LogConfig = LogConfig()
  probe: online_probe.OnlineProbe | None = None
  monitor: Monitor | None = None
  monitor_every_epochs: float = 0
  label: str = 'train'
  # Applied to fresh variables, never on a resume: puts a trained encoder in.
  warm_start: Callable[[base.Variables], base.Variables] | None = None

  @property
  def total_steps(self) -> int:
    return round(self.epochs * self.feed.steps_per_epoch)


def fit(run: Run) -> step_lib.TrainState:
  """Trains to the end, from the newest checkpoint in the workdir if there is one.

  Raises:
    preemption.Preempted: SIGTERM came; the state is saved.
    errors.UserError: the loss is no longer finite; the last good state is kept.
  """
  init = functools.partial(step_lib.init_state, run.method, run.tx, run.probe,
                           image_shape=run.image_shape)
  rep = mesh_lib.replicated(run.mesh)
  init_key, key = jax.random.split(jax.random.key(run.seed))
  with checkpoint.Checkpoints(run.workdir / 'checkpoints',
                              max_to_keep=run.log.max_to_keep) as checkpoints:
    state = checkpoints.restore_latest(
        checkpoint.abstract(jax.eval_shape(init, init_key), rep))
    if state is None:
      state = jax.jit(init, out_shardings=rep)(init_key)
      if run.warm_start is not None:
        state = state.replace(variables=run.warm_start(state.variables))
      parameter_overview.log_parameter_overview(
          state.variables.params, include_stats=False, jax_logging_process=0)
    else:
      logging.info('Resumed from step %d of %d.', int(state.step), run.total_steps)
    return _iterate(run, state, jax.device_put(key, rep), checkpoints)


def _iterate(run: Run, state: step_lib.TrainState, key: jax.Array,
             checkpoints: checkpoint.Checkpoints) -> step_lib.TrainState:
  """The loop proper. Metrics are read one dispatch late: the device never waits."""
  dispatch = step_lib.make_dispatch(
      functools.partial(step_lib.train_step, run.method, run.tx, run.probe),
      run.feed.select, run.mesh)
  per_call = _steps_per_dispatch(run)
  spe, total, step = run.feed.steps_per_epoch, run.total_steps, int(state.step)
  writer = metrics.Writer(run.workdir, resume_step=step,
                          tensorboard=run.log.tensorboard)
  progress = metrics.Progress(total_steps=total, steps_per_epoch=spe,
                              batch_size=run.feed.batch_size, label=run.label)
  save_every = _steps(run.log.checkpoint_every_epochs, spe)
  monitor_every = _steps(run.monitor_every_epochs, spe) if run.monitor else 0
  profiler = _Profiler(run.workdir, step + 10) if run.log.profile else None
  started = time.monotonic()

  def save():
    checkpoints.save(step, state, run.method.encoder(state.variables), run.config)

  def report(at, row):
    row = {k: float(v) for k, v in row.items()}
    _check_finite(at, row, checkpoints)
    if _crossed(run.log.every_steps, at - per_call, at) or at == total:
      writer.write(at, {'epoch': at / spe, 'time': time.monotonic() - started,
                        'images_per_second': _or_none(progress.images_per_second),
                        **{f'train/{k}': v for k, v in row.items()}})
    if progress.due or at == total:
      progress.show(at, row)

  pending = None  # the step and metrics of the dispatch that is under way
  with preemption.Listener() as listener:
    while step < total:
      n = min(per_call, total - step)
      state, row = dispatch(state, key, run.feed.inputs(step, n), n)
      before, step = step, step + n
      if pending is not None:
        jax.block_until_ready(pending[1])
        progress.tick(pending[0])
        report(*pending)
      pending = (step, row)
      if profiler:
        profiler.at(step)
      stop = listener.reached(step)
      watch = _crossed(monitor_every, before, step)
      if stop or watch or step == total or _crossed(save_every, before, step):
        report(*pending)  # a state is kept only once its loss is known to be finite
        pending = None
        if watch:
          writer.write(step, {'epoch': step / spe,
                              **run.monitor(run.method.encoder(state.variables))})
        save()
        progress.pause()
      if stop and step < total:
        raise preemption.Preempted(step)
  if not checkpoints.steps():
    save()  # zero epochs: a randomly initialised encoder
  writer.close()
  progress.close()
  return state


def _crossed(every: int, before: int, after: int) -> bool:
  return bool(every) and after // every > max(before, 0) // every


def _steps(epochs: float, steps_per_epoch: int) -> int:
  return max(1, round(epochs * steps_per_epoch)) if epochs else 0


def _or_none(x: float) -> float | None:
  return None if math.isnan(x) else x


def _steps_per_dispatch(run: Run) -> int:
  wanted = run.log.steps_per_dispatch or STEPS_PER_DISPATCH.get(
      jax.default_backend(), DEFAULT_STEPS_PER_DISPATCH)
  return min(wanted, run.feed.max_steps_per_dispatch)


def _check_finite(step: int, row: Mapping[str, float],
                  checkpoints: checkpoint.Checkpoints) -> None:
  if not all(math.isfinite(row[name]) for name in ('loss', 'grad_norm')):
    kept = checkpoints.steps()
    raise errors.UserError(
        f'the loss is {row["loss"]} and the gradient norm {row["grad_norm"]} at step '
        f'{step}; '
        + (f'the last good checkpoint is step {kept[-1]}' if kept
           else 'no checkpoint had been written yet')
        + '; lower config.optim.learning_rate or lengthen the warm-up')


class _Profiler:
  """Traces five dispatches, once the first ones have compiled."""

  def __init__(self, workdir: pathlib.Path, start: int):
    self._folder, self._start, self._left = workdir / 'profile', start, 5
    self._running = False

  def at(self, step: int) -> None:
    if self._running:
      self._left -= 1
      if self._left == 0:
        jax.profiler.stop_trace()
        self._running = False
        logging.info('Profile written to %s; see it with `tensorboard --logdir` or '
                     'at ui.perfetto.dev.', self._folder)
    elif self._left and step >= self._start:
      jax.profiler.start_trace(str(self._folder))
      self._running = True
