"""Handles SIGTERM and Ctrl-C: training saves its state before the process stops.

Python runs signal handlers in the main thread, between two of its instructions. While
that thread compiles, which may take minutes, no handler runs. A binary therefore has a
second thread, which `install_handlers` starts. It ends the process at once if no state
has to be saved.
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

# JAX is imported in the functions that use it: `make_report` must run without JAX.

_NAMES = {signal.SIGTERM: 'SIGTERM', signal.SIGINT: 'Ctrl-C'}
# The numbers that JAX receives instead of steps. After a signal, JAX stops all
# processes at the number after the highest that it has received, and a dispatch of
# several steps could skip that step. The count continues over all training loops of a
# process, so that a signal between two loops stops the next one at once.
_CALLS = itertools.count(1)

_listening: 'Listener | None' = None  # the training that handles signals now
_installed = False                    # whether this process has the second thread


class Listener:
  """Records signals in its context; `reached()` returns whether to save and stop.

  Signals are recorded from the call of `listen` to the end of the context. The state
  must be saved within the context. A second Ctrl-C exits at once.

  With several processes, each of them must call `reached` after each dispatch. JAX's
  coordination service sends a signal of one host to all processes and makes them agree
  on the first call that returns True: the first one that no process has made yet.

  Args:
    written: returns the newest step that is completely saved on disk, or None.

  Attributes:
    cause: the name of the signal that was received.
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
    """Starts to record signals; call it when the state is worth saving."""
    import jax
    global _listening
    for number in _NAMES:
      # With several processes, JAX has its own handler for SIGTERM.
      if number == signal.SIGINT or jax.process_count() == 1:
        self._previous[number] = signal.signal(number, self._note)
    _listening = self

  def __exit__(self, kind: type[BaseException] | None, *unused: Any) -> None:
    global _listening
    if not self._previous:
      return
    if kind is errors.Preempted and _installed:
      # The process is about to end and the state is saved. Python would restore the
      # default action of SIGTERM during shutdown, unless the signal is ignored.
      signal.signal(signal.SIGTERM, signal.SIG_IGN)
      return
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    _listening = None
    if kind is None and self._noted and not self._answered:
      signal.raise_signal(self._noted)  # it was received after the last `reached`

  def reached(self) -> bool:
    """Returns whether to save and stop; after the first True it is always True."""
    import jax
    from jax.experimental import multihost_utils
    if jax.process_count() == 1:
      self._answered = self._noted is not None
    elif not self._answered:
      self._answered = bool(multihost_utils.reached_preemption_sync_point(next(_CALLS)))
    return self._answered

  def interrupt(self) -> None:
    """Prints what a Ctrl-C does; exits at the second one. Runs in the second thread."""
    self._interrupts += 1
    step = self._written()
    if self._interrupts > 1 and step is None:
      _leave('stopped by a second Ctrl-C; nothing is saved', 128 + signal.SIGINT)
    elif self._interrupts > 1:
      _leave(f'stopped by a second Ctrl-C; step {step} is saved, later ones are not; '
             'run the same command again to continue from there', errors.PREEMPTED)
    _say('Ctrl-C: this step will be saved; a second Ctrl-C leaves at once, with '
         + ('nothing saved' if step is None else f'step {step} as the last one saved'))

  def _note(self, number: int, frame: Any) -> None:
    import jax
    if self._noted is None:
      self._noted = number
      if number == signal.SIGINT and jax.process_count() > 1:
        os.kill(os.getpid(), signal.SIGTERM)  # JAX sends it to the other processes
    elif number == signal.SIGINT and not _installed:
      raise KeyboardInterrupt


def install_handlers() -> None:
  """Makes SIGTERM and Ctrl-C end this process with one sentence instead of a traceback.

  While a `Listener` records signals, it handles them instead. With several processes,
  JAX replaces this handler of SIGTERM by its own when the processes have connected.
  """
  global _installed
  if _installed:
    return
  _installed = True
  read, write = os.pipe()
  os.set_blocking(write, False)
  for number in _NAMES:
    signal.signal(number, lambda *unused: None)
  signal.set_wakeup_fd(write, warn_on_full_buffer=False)
  os.register_at_fork(after_in_child=_forget)
  threading.Thread(target=_answer, args=(read,), name='signals', daemon=True).start()


def _forget() -> None:
  """Makes a worker ignore Ctrl-C, which its parent handles, and end by SIGTERM."""
  global _installed, _listening
  _installed, _listening = False, None
  signal.set_wakeup_fd(-1)
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  signal.signal(signal.SIGINT, signal.SIG_IGN)


def _answer(pipe: int) -> None:
  while number := os.read(pipe, 1)[0]:
    if number not in _NAMES:
      continue
    if _listening is None:
      _leave(f'stopped by {_NAMES[number]}; nothing had to be saved; run the same '
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
