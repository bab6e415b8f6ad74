"""Runs the training loop: steps, reports, checkpoints and the monitor."""

import contextlib
import functools
import time

import jax
from absl import logging

from ssl_jax import errors
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import preemption
from ssl_jax.train import checkpoint, profile, retention, training
from ssl_jax.train import reporter as reporter_lib
from ssl_jax.train import step as step_lib


def fit(run: training.TrainingRun) -> step_lib.TrainState:
  """Trains to the end and returns the final state.

  If the workdir has a checkpoint, the training continues from the newest one. Nothing
  is written before the first step is done and its loss is finite.

  Raises:
    errors.Preempted: the process received SIGTERM or Ctrl-C; the state is saved.
    errors.Diverged: the loss is not finite; the last good checkpoint is kept.
    errors.UserError: the newest checkpoint has other data or another state.
  """
  start, keep_every = time.monotonic(), run.steps(run.log.keep_every_epochs)
  checkpoints = checkpoint.Checkpoints(run.workdir / 'checkpoints',
                                       keep=retention.policy(
                                           run.log.max_to_keep, keep_every))
  # The context of `checkpoints` waits at its end until everything is written. The
  # listener's context must end after it.
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
  """Restores or makes the state; returns it and the key of all steps."""
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
    state = run.warm_start(state)
  return state, key


def _iterate(run: training.TrainingRun, state: step_lib.TrainState, key: jax.Array,
             checkpoints: checkpoint.Checkpoints, reporter: reporter_lib.Reporter,
             listener: preemption.Listener) -> step_lib.TrainState:
  """Runs the steps, to the end or until a signal stops them.

  Metrics are read one dispatch late, so that the device does not wait for the host,
  except for the first dispatch.
  """
  dispatch = step_lib.make_dispatch(run.train_step, run.feed.select, run.mesh,
                                    state)
  per_dispatch = training.steps_per_dispatch(run)
  step, total = int(state.step), run.total_steps
  save_every, keep_every = (run.steps(n) for n in (
      run.log.checkpoint_every_epochs, run.log.keep_every_epochs))
  monitor_every = run.steps(run.monitor_every_epochs) if run.monitor else 0
  encoder = run.method.encoder_variables
  pending, stop = None, False  # step and metrics of the dispatch that is running

  def save():
    checkpoints.save(step, state, encoder(state.variables), run.config)

  with profile.Profiler(run.workdir, start=step + 10, on=run.log.profile) as profiler:
    while step < total and not stop:
      n = min(per_dispatch, total - step)
      state, metrics = dispatch(state, key, run.feed.inputs(step, n), n)
      before, step = step, step + n
      if not reporter.begun:
        reporter.report(step, metrics)
        listener.listen()
      if pending is not None:
        reporter.report(*pending)
      pending = None if step == reporter.last else (step, metrics)
      profiler.at(step)
      stop = listener.reached()
      monitor = training.crossed(monitor_every, before, step)
      due = any(training.crossed(n, before, step) for n in (save_every, keep_every))
      if stop or monitor or due or step == total:
        if pending is not None:  # a state is saved only if its loss is finite
          reporter.report(*pending)
        pending = None
        if monitor:
          reporter.write_evaluation(step, run.monitor(state.variables))
        save()
        reporter.pause()
  if not checkpoints.steps():  # after zero epochs: a randomly initialised encoder
    reporter.begin()
    save()
  return state


