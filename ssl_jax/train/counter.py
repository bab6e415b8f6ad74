"""Shows how many images were encoded so far, while a program encodes many."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

import jax

from ssl_jax.train import progress

T = TypeVar('T')
_FIRST_SECONDS = 2.0    # short work shows nothing
_REDRAW_SECONDS = 0.5   # on a terminal, where the line is rewritten in place
_LOG_SECONDS = 10.0     # between two lines of a log
_ERASE = '\r\x1b[K'


def counted(batches: Iterable[T], images: int, batch_size: int,
            out: TextIO | None = None) -> Iterator[T]:
  """Yields the batches, and shows after each how many images they had so far.

  The first line comes after 2 seconds. A terminal gets one line that is rewritten in
  place, and anything else gets a line every 10 seconds. Only process 0 writes.

  Args:
    batches: batches of images.
    images: number of images in all batches together.
    batch_size: number of images of a batch.
    out: gets the text; None is standard error.
  """
  out = out or sys.stderr
  terminal, started, drawn = out.isatty(), time.monotonic(), False
  due = started + _FIRST_SECONDS
  for i, batch in enumerate(batches, start=1):
    yield batch
    now, done = time.monotonic(), min(i * batch_size, images)
    if now < due or jax.process_index():
      continue
    due = now + (_REDRAW_SECONDS if terminal else _LOG_SECONDS)
    text = (f'Encoded {done:,} of {images:,} images, '
            f'{done / (now - started):,.0f} images/s')
    if terminal:
      text = _ERASE + progress.fitted({text: 0}, progress.columns(out) - 1)
    out.write(text if terminal else f'{text}\n')
    out.flush()
    drawn = terminal
  if drawn:
    out.write(_ERASE)
    out.flush()
