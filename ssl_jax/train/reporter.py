"""Reports a training run: metrics in files, a line of progress, or an error."""

import math
import time
from collections.abc import Mapping
from typing import Any

import jax
from absl import logging
from clu import parameter_overview

from ssl_jax import errors
from ssl_jax.train import checkpoint, progress, training
from ssl_jax.train import metrics as metrics_lib
from ssl_jax.train import step as step_lib


class Reporter:
  """Writes the metrics of dispatches, shows progress, and stops a run that diverges.

  Args:
    run: the training run.
    state: its initial state.
    checkpoints: the checkpoints of the run, which an error message names.
    start: `time.monotonic()` at the start of the run.

  Attributes:
    begun: whether `begin` was called.
    last: the step of the latest report.
  """

  def __init__(self, run: training.TrainingRun, state: step_lib.TrainState,
               checkpoints: checkpoint.Checkpoints, start: float):
    self._run, self._checkpoints = run, checkpoints
    self.begun, self.last = False, int(state.step)
    self._params = jax.eval_shape(lambda x: x, state.variables.params)
    self._start: float | None = start  # until the first dispatch is done
    self._writer = metrics_lib.Writer(run.workdir, resume_step=self.last,
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
    """Claims the workdir for this run, and writes a table of all parameters to it."""
    self.begun = True
    self._run.claim()
    logging.info('%s: %s parameters; shapes in parameters.txt', self._run.label,
                 f'{sum(x.size for x in jax.tree.leaves(self._params)):,}')
    if jax.process_index() == 0:
      table = parameter_overview.get_parameter_overview(self._params,
                                                        include_stats=False)
      (self._run.workdir / 'parameters.txt').write_text(table + '\n')

  def report(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Waits for a dispatch, writes its metrics if they are due, and shows progress.

    Args:
      step: the step at which the dispatch ended.
      metrics: float32 scalars by name, the output of the dispatch.

    Raises:
      errors.Diverged: the loss or the gradient norm is not finite.
    """
    row = {name: float(value) for name, value in jax.device_get(metrics).items()}
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
    if last or training.crossed(self._run.log.every_steps, self.last, step):
      self._writer.write(step, {
          'epoch': self._epoch(step),
          'images_per_second': self._progress.images_per_second,
          'train/learning_rate': float(self._run.schedule(step - 1)),
          **{name if '/' in name else f'train/{name}': value
             for name, value in row.items()}})
    if last or self._progress.due:
      self._progress.show(step, row)
    self.last = step

  def write_evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
    """Writes the metrics of an evaluation after `step` and keeps them in the line."""
    self._writer.write(step, {'epoch': self._epoch(step), **metrics})
    self._progress.note(metrics)

  def pause(self) -> None:
    """Excludes the time since the last report from the speed of the training."""
    self._progress.pause()

  def _epoch(self, step: int) -> float:
    return step / self._run.feed.steps_per_epoch

  def _diverged(self, step: int, values: Mapping[str, float]) -> str:
    kept = self._checkpoints.steps()
    return (f'the loss is {values["loss"]} and the gradient norm '
            f'{values["grad_norm"]} at step {step}; '
            + (f'the last good checkpoint is step {kept[-1]}' if kept
               else 'no checkpoint has been saved yet')
            + '; lower config.optim.learning_rate or lengthen the warm-up')
