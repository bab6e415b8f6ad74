"""fit(): the only place that iterates, logs, checkpoints and evaluates."""

import contextlib
import functools
import time

import jax
from absl import logging

from ssl_jax import errors
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import preemption
from ssl_jax.train import checkpoint, profile, training
from ssl_jax.train import reporter as reporter_lib
from ssl_jax.train import step as step_lib


def fit(run: training.TrainingRun) -> step_lib.TrainState:
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
      state = jax.device_put(state, mesh_lib.stored(state, run.mesh))
      with reporter_lib.Reporter(run, state, checkpoints, start) as reporter:
        state = _iterate(run, state, key, checkpoints, reporter, listener)
    if listener.reached():
      raise errors.Preempted(int(state.step), listener.cause)
  return state


def _initial_state(run: training.TrainingRun, checkpoints: checkpoint.Checkpoints
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


def _iterate(run: training.TrainingRun, state: step_lib.TrainState, key: jax.Array,
             checkpoints: checkpoint.Checkpoints, reporter: reporter_lib.Reporter,
             listener: preemption.Listener) -> step_lib.TrainState:
  """Runs the loop proper, to the end or until a signal is answered.

  Metrics are read one dispatch late: the device never waits, but for the first.
  """
  dispatch = step_lib.make_dispatch(run.train_step, run.feed.select, run.mesh,
                                    state)
  per_dispatch = training.steps_per_dispatch(run)
  step, total = int(state.step), run.total_steps
  save_every = run.steps(run.log.checkpoint_every_epochs)
  watch_every = run.steps(run.monitor_every_epochs) if run.monitor else 0
  encoder = run.method.encoder_variables
  pending, stop = None, False  # step and metrics of the dispatch that is under way

  def save():
    checkpoints.save(step, state, encoder(state.variables), run.config)

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
      watch = training.crossed(watch_every, before, step)
      if stop or watch or step == total or training.crossed(save_every, before, step):
        if pending is not None:  # kept only once the loss is known to be finite
          reporter.report(*pending)
        pending = None
        if watch:
          reporter.monitor(step, run.monitor(encoder(state.variables)))
        save()
        reporter.pause()
  if not checkpoints.steps():  # zero epochs: a randomly initialised encoder
    reporter.begin()
    save()
  return state


