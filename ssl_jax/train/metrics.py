"""Keeps what a run measures: metrics.jsonl and TensorBoard events."""

import json
import math
import pathlib
import time
from collections.abc import Mapping

import jax
import tensorboardX

from ssl_jax import jsonl


class Writer:
  """Appends rows to metrics.jsonl and TensorBoard, on process 0 only.

  With its first row a resumed run drops those after the step that it resumes from:
  the file always reads as one undisturbed run. Before that nothing is written.
  """

  def __init__(self, workdir: pathlib.Path, *, resume_step: int, tensorboard: bool):
    self._path = workdir / 'metrics.jsonl'
    self._events = None
    self._active = jax.process_index() == 0
    if not self._active:
      return
    self._kept = [row for row in jsonl.read(self._path) if row['step'] <= resume_step]
    spent = max((row['time'] for row in self._kept), default=0.0)
    self._started = time.monotonic() - spent
    self._purge = resume_step + 1 if tensorboard else None

  def write(self, step: int, row: Mapping[str, float]) -> None:
    """Adds `step` and `time`, seconds of training so far over all resumes."""
    if not self._active:
      return
    self._open()
    row = {name: value for name, value in row.items() if math.isfinite(value)}
    seconds = time.monotonic() - self._started
    with self._path.open('a') as f:
      f.write(json.dumps({'step': step, 'time': seconds, **row}) + '\n')
    if self._events is not None:
      for name, value in row.items():
        self._events.add_scalar(name, value, step)

  def _open(self) -> None:
    """Leaves in the file what the checkpoint knows of, the first time it is called."""
    if self._kept is not None:
      self._path.write_text(''.join(json.dumps(row) + '\n' for row in self._kept))
      self._kept = None
    if self._purge is not None:
      self._events = tensorboardX.SummaryWriter(
          str(self._path.parent / 'tensorboard'), purge_step=self._purge)
      self._purge = None

  def close(self) -> None:
    if self._events is not None:
      self._events.close()


