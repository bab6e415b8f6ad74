"""The line that says how far a training run is: fitted to a terminal, or in a log."""

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

_REDRAW_SECONDS = 0.5          # on a terminal, where the line is rewritten in place
_LOG_SECONDS = 10.0            # between two lines of a log, at first
_LOG_FRACTION = 0.05           # of the time spent so far, which takes over later
_LOG_SECONDS_AT_MOST = 300.0
_ERASE = '\r\x1b[K'            # back to the first column; clear to the end of the line
_HIDDEN = ('grad_norm', 'contrastive_entropy')  # in metrics.jsonl, not in the line


class Progress:
  """Shows step, epoch, loss, accuracies, images/s, time left and device memory.

  A terminal gets one line that is rewritten in place and is never wider than the
  terminal: what does not fit is left out, the least important part first. A log record
  that comes in between erases the line, so that the record starts in the first column;
  the line is drawn again below it. Anything that is no terminal gets whole lines
  without escape codes: every 10 seconds at first, at most every 5 minutes later on.
  Only process 0 writes.

  Args:
    total_steps: Steps of the run.
    steps_per_epoch: Steps of an epoch.
    batch_size: Images of a step, over all devices of all processes.
    label: Names the run.
    out: Gets the text; standard output where None.
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
    self._line = ''         # the latest, for a terminal
    self._drawn = False     # whether it is on the terminal, below all else
    self._handlers = [*logging.getLogger().handlers] if self._terminal else []
    for handler in self._handlers:
      handler.addFilter(self._make_way)
    self.images_per_second = math.nan

  def tick(self, step: int) -> None:
    """Measures speed; called when `step` is computed. The first call compiles."""
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
    """Leaves the time since the last tick, spent on an evaluation, out of the speed."""
    self._mark = None

  def note(self, row: Mapping[str, float]) -> None:
    """Keeps a slow metric in the line until it is measured again."""
    self._noted = dict(row)

  @property
  def due(self) -> bool:
    """Tells whether it is time to show another line."""
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
    """Leaves the latest line on the terminal and goes below it."""
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
    """Serves as a filter of log handlers: clears the line, lets every record pass."""
    del record
    if self._drawn:
      self._out.write(_ERASE)
      self._out.flush()
      self._drawn = False
    return True

  def _parts(self, step: int, metrics: Mapping[str, float]) -> dict[str, int]:
    """Returns the parts in their order, with ranks: 0 is the last to be left out."""
    accuracies = {name: value for name, value in metrics.items() if _is_accuracy(name)}
    # Monitors ('probe/top1') first: they mean the same for every method.
    order = sorted(accuracies, key=lambda name: '/' not in name)
    parts = {self._label: 6, f'step {step}/{self._total}': 0,
             f'epoch {_epochs(step / self._spe)}/{_epochs(self._total / self._spe)}': 1,
             f'loss {metrics["loss"]:.4g}': 2}
    for name in order:
      parts[_percentage(name, accuracies[name])] = 3 if name == order[0] else 7
    parts |= {f'{name} {value:.4g}': 8 for name, value in metrics.items()
              if name not in ('loss', *_HIDDEN, *accuracies)}
    if not math.isnan(self.images_per_second):
      left = (self._total - step) * self._batch / max(self.images_per_second, 1e-9)
      parts |= {f'{self.images_per_second:,.0f} images/s': 5,
                f'ETA {durations.clock(left)}': 4}
    if memory := device_memory():
      parts[f'{memory / 2**30:.1f} GiB'] = 9
    return parts


def fitted(parts: Mapping[str, int], width: int) -> str:
  """Joins the parts of the lowest ranks that fit `width` columns, in their order.

  If not even one fits, it is cut.
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
  """Returns the columns of the terminal that `out` writes to, as they are now."""
  try:
    found = os.get_terminal_size(out.fileno()).columns
  except (OSError, io.UnsupportedOperation):
    found = 0
  return found or shutil.get_terminal_size().columns  # 0: the terminal does not say


def device_memory() -> int | None:
  """Returns the peak bytes in use on the first device, None where it does not say."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get('peak_bytes_in_use')


def _epochs(epochs: float) -> str:
  """Writes 12.04 as '12' and 12.46 as '12.5'."""
  return f'{round(epochs, 1):g}'


def _is_accuracy(name: str) -> bool:
  return name.endswith(('accuracy', '/top1'))


def _percentage(name: str, value: float) -> str:
  """Writes ('probe/top1', 0.519) as 'probe 51.9 %'."""
  return f'{name.removesuffix("/top1").replace("_", " ")} {100 * value:.1f} %'
