"""Shows the progress of a training run in one line, on a terminal or in a log."""

import io
import logging
import math
import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Mapping
from typing import TextIO

import jax

from ssl_jax import durations

_REDRAW_SECONDS = 0.5  # on a terminal, where the line is rewritten in place
# Seconds between two lines of a log: _LOG_FRACTION of the time since the start, but at
# least _LOG_SECONDS and at most _LOG_SECONDS_AT_MOST.
_LOG_SECONDS = 10.0
_LOG_FRACTION = 0.05
_LOG_SECONDS_AT_MOST = 300.0
_ERASE = '\r\x1b[K'  # moves to the first column and clears to the end of the line
_HIDDEN = ('grad_norm', 'contrastive_entropy')  # in metrics.jsonl, not in the line


class Progress:
  """Shows step, epoch, loss, accuracies, images/s, time left and device memory.

  On a terminal, one line is rewritten in place. It is never wider than the terminal:
  parts that do not fit are left out, the least important ones first. A log record
  erases the line, so that the record starts in the first column; the line is then drawn
  again below it. If the output is not a terminal, whole lines are written without
  escape codes: one every 10 seconds at first, and one every 5 minutes in a long run.
  Only process 0 writes.

  Args:
    total_steps: number of steps of the run.
    steps_per_epoch: number of steps of an epoch.
    batch_size: images of a step, over all devices of all processes.
    label: the name of the run.
    out: receives the text; None is standard output.
  """

  def __init__(self, *, total_steps: int, steps_per_epoch: int, batch_size: int,
               label: str, out: TextIO | None = None):
    self._out = out or sys.stdout
    self._total, self._spe, self._batch = total_steps, steps_per_epoch, batch_size
    self._label = label
    self._terminal = self._out.isatty()
    self._active = jax.process_index() == 0
    self._mark: tuple[float, int] | None = None
    self._started = time.monotonic()
    self._printed = -math.inf
    self._noted: dict[str, float] = {}
    self._line = ''         # the latest line, for a terminal
    self._drawn = False     # whether it is the last line on the terminal
    self._handlers = [*logging.getLogger().handlers] if self._terminal else []
    for handler in self._handlers:
      handler.addFilter(self._make_way)
    self.images_per_second = math.nan

  def tick(self, step: int) -> None:
    """Measures the speed; call it when `step` is computed.

    The first call only starts the clock, because the first dispatch compiles.
    """
    now = time.monotonic()
    if self._mark is None:
      self._mark = (now, step)
    elif now - self._mark[0] >= 1.0:
      rate = (step - self._mark[1]) * self._batch / (now - self._mark[0])
      # Smoothed over a few windows, so that the time left does not fluctuate.
      self.images_per_second = (rate if math.isnan(self.images_per_second)
                                else 0.7 * self.images_per_second + 0.3 * rate)
      self._mark = (now, step)

  def pause(self) -> None:
    """Excludes the time since the last tick, such as an evaluation, from the speed."""
    self._mark = None

  def note(self, metrics: Mapping[str, float]) -> None:
    """Keeps metrics in the line that are measured rarely, until the next call."""
    self._noted = dict(metrics)

  @property
  def due(self) -> bool:
    """Returns whether it is time to show another line."""
    now = time.monotonic()
    seconds = _REDRAW_SECONDS if self._terminal else min(
        max(_LOG_SECONDS, _LOG_FRACTION * (now - self._started)), _LOG_SECONDS_AT_MOST)
    return self._active and now - self._printed >= seconds

  def show(self, step: int, metrics: Mapping[str, float]) -> None:
    """Writes the line of `step`, whose metrics hold 'loss'."""
    if not self._active:
      return
    self._printed = time.monotonic()
    parts = self._parts(step, {**metrics, **self._noted})
    if self._terminal:
      self._line = fitted(parts, columns(self._out) - 1)  # the last column may wrap
      self._draw()
    else:
      self._out.write('  '.join(parts) + '\n')
      self._out.flush()

  def close(self) -> None:
    """Draws the latest line for the last time and ends it."""
    for handler in self._handlers:
      handler.removeFilter(self._make_way)
    if self._line:
      self._draw()
      self._out.write('\n')
      self._out.flush()
      self._line = ''

  def _draw(self) -> None:
    self._out.write(_ERASE + self._line)
    self._out.flush()
    self._drawn = True

  def _make_way(self, record: logging.LogRecord) -> bool:
    """Clears the line before a log record; a filter that accepts every record."""
    del record
    if self._drawn:
      self._out.write(_ERASE)
      self._out.flush()
      self._drawn = False
    return True

  def _parts(self, step: int, metrics: Mapping[str, float]) -> dict[str, int]:
    """Returns the parts in their order, with ranks: 0 is the last to be left out."""
    accuracies = {name: value for name, value in metrics.items() if _is_accuracy(name)}
    # Accuracies of classes ('probe/top1') come first: every method has the same ones.
    order = sorted(accuracies, key=lambda name: '/' not in name)
    parts = {self._label: 6, f'step {step}/{self._total}': 0,
             f'epoch {_epochs(step / self._spe)}/{_epochs(self._total / self._spe)}': 1,
             f'loss {metrics["loss"]:.4g}': 2}
    for name in order:
      parts[_percentage(name, accuracies[name])] = 3 if name == order[0] else 7
    if (rank := metrics.get('validation/effective_rank')) is not None:
      parts[f'effective rank {rank:.1f}'] = 7
    parts |= {f'{name} {value:.4g}': 8 for name, value in metrics.items()
              if name not in ('loss', *_HIDDEN, *accuracies)
              and not name.startswith('validation/')}  # metrics.jsonl has these
    if not math.isnan(self.images_per_second):
      left = (self._total - step) * self._batch / max(self.images_per_second, 1e-9)
      parts |= {f'{self.images_per_second:,.0f} images/s': 5,
                f'ETA {durations.clock(left)}': 4}
    if memory := device_memory():
      parts[f'{memory / 2**30:.1f} GiB'] = 9
    return parts


def fitted(parts: Mapping[str, int], width: int) -> str:
  """Joins the parts of the lowest ranks that fit `width` columns, in their order.

  If no part fits, the part of the lowest rank is cut.
  """
  kept: set[str] = set()
  for part in sorted(parts, key=parts.__getitem__):
    line = '  '.join(p for p in parts if p in kept | {part})
    if kept and cells(line) > width:
      break
    kept.add(part)
  line = '  '.join(p for p in parts if p in kept)
  while cells(line) > width:
    line = line[:-1]
  return line


def cells(text: str) -> int:
  """Counts the terminal columns of a text: 2 for a wide character, 0 for an accent."""
  return sum(0 if unicodedata.combining(c)
             else 2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in text)


def columns(out: TextIO) -> int:
  """Returns the present number of columns of the terminal that `out` writes to."""
  try:
    found = os.get_terminal_size(out.fileno()).columns
  except (OSError, io.UnsupportedOperation):
    found = 0
  return found or shutil.get_terminal_size().columns  # 0: the terminal does not know


def device_memory() -> int | None:
  """Returns the peak bytes in use on the first device, or None if it is unknown."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get('peak_bytes_in_use')


def _epochs(epochs: float) -> str:
  """Formats 12.04 as '12' and 12.46 as '12.5'."""
  return f'{round(epochs, 1):g}'


def _is_accuracy(name: str) -> bool:
  return name.endswith(('accuracy', '/top1'))


def _percentage(name: str, value: float) -> str:
  """Formats ('probe/top1', 0.519) as 'probe 51.9 %'."""
  return f'{name.removesuffix("/top1").replace("_", " ")} {100 * value:.1f} %'
