"""Writes the metrics of a run to metrics.jsonl and TensorBoard events."""

import json
import math
import pathlib
import time
from collections.abc import Mapping

import jax
import tensorboardX

from ssl_jax import jsonl


class Writer:
  """Appends metrics to metrics.jsonl and TensorBoard, on process 0 only.

  Nothing is written before the first call of `write`. In a resumed run that call
  removes the metrics after the step that the run resumes from, so the file reads as
  that of a run that was not stopped.

  Args:
    workdir: the folder of the run.
    resume_step: the step that the run resumes from; 0 for a new run.
    tensorboard: whether to write TensorBoard events too.
  """

  def __init__(self, workdir: pathlib.Path, *, resume_step: int, tensorboard: bool):
    self._path = workdir / 'metrics.jsonl'
    self._events = None
    self._active = jax.process_index() == 0
    if not self._active:
      return
    self._kept = [record for record in jsonl.read(self._path)
                  if record['step'] <= resume_step]
    spent = max((record['time'] for record in self._kept), default=0.0)
    self._started = time.monotonic() - spent
    self._purge = resume_step + 1 if tensorboard else None

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Writes the finite metrics of a step by name.

    In metrics.jsonl the line also has `step` and `time`, which is the seconds of
    training so far, including those before a resume.
    """
    if not self._active:
      return
    self._open()
    metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
    seconds = time.monotonic() - self._started
    with self._path.open('a') as f:
      f.write(json.dumps({'step': step, 'time': seconds, **metrics}) + '\n')
    if self._events is not None:
      for name, value in metrics.items():
        self._events.add_scalar(name, value, step)

  def _open(self) -> None:
    """Removes metrics after the checkpoint from the files, in the first call only."""
    if self._kept is not None:
      self._path.write_text(''.join(json.dumps(r) + '\n' for r in self._kept))
      self._kept = None
    if self._purge is not None:
      self._events = tensorboardX.SummaryWriter(
          str(self._path.parent / 'tensorboard'), purge_step=self._purge)
      self._purge = None

  def close(self) -> None:
    """Closes the files."""
    if self._events is not None:
      self._events.close()
