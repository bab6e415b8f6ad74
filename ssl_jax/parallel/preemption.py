"""Answers SIGTERM and Ctrl-C: a training saves before it stops, all else just stops.

Python runs signal handlers in the main thread, between two of its instructions. While
that thread compiles, which may take minutes, nothing would happen. A binary therefore
has a thread that `watch` starts, which ends the process at once where there is nothing
to save.
"""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from ssl_jax import errors

# JAX is imported where it is used: `make_report` runs where it is not installed.

_NAMES = {signal.SIGTERM: 'SIGTERM', signal.SIGINT: 'Ctrl-C'}
# What JAX is told in the place of steps. It picks the number after the highest that
# it has seen, and a dispatch of several steps would jump over that one. Counted over
# all loops of a process: a signal between two of them is then heard at once.
_CALLS = itertools.count(1)

_listening: 'Listener | None' = None  # the training that answers signals now
_watched = False                      # whether this process has the thread


class Listener:
  """Records signals in its context; `reached()` returns whether to save and stop.

  Signals are recorded from `listen` to the end of the context, within which the state
  must be written. A second Ctrl-C exits at once.

  With several processes, all of which must ask after each dispatch, JAX's
  coordination service spreads one host's signal and makes them agree when the
  answer is yes: at the first call that none of them has made yet.

  Args:
    written: returns the newest step that is whole on disk, or None.

  Attributes:
    cause: the name of the signal that came.
  """

  def __init__(self, written: Callable[[], int | None] = lambda: None):
    self._written = written
    self._noted: int | None = None
    self._answered = False
    self._interrupts = 0
    self._previous: dict[int, Any] = {}

  @property
  def cause(self) -> str:
    return _NAMES[self._noted or signal.SIGTERM]

  def __enter__(self) -> 'Listener':
    return self

  def listen(self) -> None:
    """Notes signals from now on; until then there is nothing to save."""
    import jax
    global _listening
    for number in _NAMES:
      # JAX has a handler of its own for SIGTERM where there are several processes.
      if number == signal.SIGINT or jax.process_count() == 1:
        self._previous[number] = signal.signal(number, self._note)
    _listening = self

  def __exit__(self, kind: type[BaseException] | None, *unused: Any) -> None:
    global _listening
    if not self._previous:
      return
    if kind is errors.Preempted and _watched:
      # The process is about to end with the state saved. Python would give SIGTERM its
      # default action while it shuts down, but it leaves one that is ignored.
      signal.signal(signal.SIGTERM, signal.SIG_IGN)
      return
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    _listening = None
    if kind is None and self._noted and not self._answered:
      signal.raise_signal(self._noted)  # it came too late for `reached`

  def reached(self) -> bool:
    """Returns whether to save and stop. Once it is True it stays so."""
    import jax
    from jax.experimental import multihost_utils
    if jax.process_count() == 1:
      self._answered = self._noted is not None
    elif not self._answered:
      self._answered = bool(multihost_utils.reached_preemption_sync_point(next(_CALLS)))
    return self._answered

  def interrupt(self) -> None:
    """Says what a Ctrl-C does; leaves at the second. Runs in the watching thread."""
    self._interrupts += 1
    step = self._written()
    if self._interrupts > 1 and step is None:
      _leave('stopped by a second Ctrl-C; nothing is saved', 128 + signal.SIGINT)
    elif self._interrupts > 1:
      _leave(f'stopped by a second Ctrl-C; step {step} is saved, later ones are not; '
             'run the same command again to go on from there', errors.PREEMPTED)
    _say('Ctrl-C: this step will be saved; a second Ctrl-C leaves at once, with '
         + ('nothing saved' if step is None else f'step {step} as the last one saved'))

  def _note(self, number: int, frame: Any) -> None:
    import jax
    if self._noted is None:
      self._noted = number
      if number == signal.SIGINT and jax.process_count() > 1:
        os.kill(os.getpid(), signal.SIGTERM)  # which JAX tells the other processes
    elif number == signal.SIGINT and not _watched:
      raise KeyboardInterrupt


def watch() -> None:
  """Makes SIGTERM and Ctrl-C end this process in one sentence, where none listens.

  With several processes JAX puts its own handler of SIGTERM in the place of this one
  as soon as they have met.
  """
  global _watched
  if _watched:
    return
  _watched = True
  read, write = os.pipe()
  os.set_blocking(write, False)
  for number in _NAMES:
    signal.signal(number, lambda *unused: None)
  signal.set_wakeup_fd(write, warn_on_full_buffer=False)
  os.register_at_fork(after_in_child=_forget)
  threading.Thread(target=_answer, args=(read,), name='signals', daemon=True).start()


def _forget() -> None:
  """Leaves the signals of a terminal to the parent; a worker ends by SIGTERM."""
  global _watched, _listening
  _watched, _listening = False, None
  signal.set_wakeup_fd(-1)
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  signal.signal(signal.SIGINT, signal.SIG_IGN)


def _answer(pipe: int) -> None:
  while number := os.read(pipe, 1)[0]:
    if number not in _NAMES:
      continue
    if _listening is None:
      _leave(f'stopped by {_NAMES[number]} where nothing had to be saved; run the same '
             'command again', 128 + number)
    if number == signal.SIGINT:
      _listening.interrupt()


def _say(sentence: str) -> None:
  print(f'\n{sentence}', file=sys.stderr, flush=True)


def _leave(sentence: str, status: int) -> NoReturn:
  for worker in multiprocessing.active_children():
    worker.terminate()
  _say(sentence)
  sys.stdout.flush()
  os._exit(status)
