"""What a run tells: metrics.jsonl, TensorBoard events and a line of progress."""

import json
import math
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import TextIO

import jax
import tensorboardX

from ssl_jax import durations, jsonl


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


class Progress:
  """One line: step, epoch, loss, images/s, time left, device memory.

  On a terminal the line is rewritten in place; in a log it is printed at most
  every `seconds`.
  """

  _hidden = ('grad_norm', 'contrastive_entropy')  # in metrics.jsonl, not in the line

  def __init__(self, *, total_steps: int, steps_per_epoch: int, batch_size: int,
               label: str, seconds: float = 10.0, out: TextIO | None = None):
    self._out = out or sys.stdout
    self._total, self._spe, self._batch = total_steps, steps_per_epoch, batch_size
    self._label = label
    self._terminal = self._out.isatty()
    self._seconds = 0.5 if self._terminal else seconds
    self._active = jax.process_index() == 0
    self._mark: tuple[float, int] | None = None
    self._printed = -math.inf
    self._noted: dict[str, float] = {}
    self.images_per_second = math.nan

  def tick(self, step: int) -> None:
    """Call when `step` is computed; the clock starts at the first (it compiles)."""
    now = time.monotonic()
    if self._mark is None:
      self._mark = (now, step)
    elif now - self._mark[0] >= 1.0:
      rate = (step - self._mark[1]) * self._batch / (now - self._mark[0])
      # Smoothed over a few windows, so that the time left does not jump about.
      self.images_per_second = (rate if math.isnan(self.images_per_second)
                                else 0.7 * self.images_per_second + 0.3 * rate)
      self._mark = (now, step)

  def pause(self) -> None:
    """Call after work that is not training (an evaluation): its time is not ours."""
    self._mark = None

  def note(self, row: Mapping[str, float]) -> None:
    """Keeps a slow metric in the line until it is measured again."""
    self._noted = dict(row)

  @property
  def due(self) -> bool:
    return self._active and time.monotonic() - self._printed >= self._seconds

  def show(self, step: int, metrics: Mapping[str, float]) -> None:
    if not self._active:
      return
    self._printed = time.monotonic()
    parts = [f'{self._label}', f'step {step}/{self._total}',
             f'epoch {step / self._spe:.1f}/{self._total / self._spe:.0f}']
    shown = {'loss': metrics['loss'], **metrics, **self._noted}
    parts += [f'{name} {value:.4g}' for name, value in shown.items()
              if name not in self._hidden]
    if not math.isnan(self.images_per_second):
      left = (self._total - step) * self._batch / max(self.images_per_second, 1e-9)
      parts += [f'{self.images_per_second:,.0f} images/s',
                f'ETA {durations.text(left)}']
    if memory := device_memory():
      parts.append(f'{memory / 2**30:.1f} GiB')
    line = '  '.join(parts)
    self._out.write(f'\r\x1b[K{line}' if self._terminal else f'{line}\n')
    self._out.flush()

  def close(self) -> None:
    if self._active and self._terminal and self._printed > -math.inf:
      self._out.write('\n')


def device_memory() -> int | None:
  """Peak bytes in use on the first device, or None where it does not say."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get('peak_bytes_in_use')
