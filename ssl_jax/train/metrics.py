"""Keeps what a run measures: metrics.jsonl and TensorBoard events."""

import json
import math
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import tensorboardX


class Writer:
  """Appends rows to metrics.jsonl and TensorBoard, on process 0 only.

  A resumed run first drops the rows after the step that it resumes from: the
  file always reads as one undisturbed run.
  """

  def __init__(self, workdir: pathlib.Path, *, resume_step: int, tensorboard: bool):
    self._path = workdir / 'metrics.jsonl'
    self._events = None
    self._active = jax.process_index() == 0
    if not self._active:
      return
    kept = [row for row in read(self._path) if row['step'] <= resume_step]
    spent = max((row['time'] for row in kept), default=0.0)
    self._started = time.monotonic() - spent
    self._path.write_text(''.join(json.dumps(row) + '\n' for row in kept))
    if tensorboard:
      self._events = tensorboardX.SummaryWriter(
          str(workdir / 'tensorboard'), purge_step=resume_step + 1)

  def write(self, step: int, row: Mapping[str, float]) -> None:
    """Adds `step` and `time`, seconds of training so far over all resumes."""
    if not self._active:
      return
    row = {name: value for name, value in row.items() if math.isfinite(value)}
    seconds = time.monotonic() - self._started
    with self._path.open('a') as f:
      f.write(json.dumps({'step': step, 'time': seconds, **row}) + '\n')
    if self._events is not None:
      for name, value in row.items():
        self._events.add_scalar(name, value, step)

  def close(self) -> None:
    if self._events is not None:
      self._events.close()


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """The rows of a JSONL file; a last line cut short by a kill is left out."""
  rows = []
  if path.exists():
    for line in path.read_text().splitlines():
      try:
        rows.append(json.loads(line))
      except json.JSONDecodeError:
        continue
  return rows
