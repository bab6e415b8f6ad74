"""Hears SIGTERM, so that the loop can save before the machine goes away."""

import itertools
import signal
from typing import Any

import jax
from jax.experimental import multihost_utils

# What JAX is told in the place of steps. It picks the number after the highest that
# it has seen, and a dispatch of several steps would jump over that one. Counted over
# all loops of a process: a signal between two of them is then heard at once.
_CALLS = itertools.count(1)


class Listener:
  """A context in which `reached()` tells whether to save and stop.

  With several processes, all of which must ask after each dispatch, JAX's
  coordination service spreads one host's signal and makes them agree when the
  answer is yes: at the first call that none of them has made yet.
  """

  def __init__(self):
    self._signalled = False
    self._previous: Any = None

  def __enter__(self) -> 'Listener':
    if jax.process_count() == 1:
      self._previous = signal.signal(signal.SIGTERM, self._handle)
    return self

  def __exit__(self, *unused: Any) -> None:
    if jax.process_count() == 1:
      signal.signal(signal.SIGTERM, self._previous)

  def _handle(self, *unused: Any) -> None:
    self._signalled = True

  def reached(self) -> bool:
    if jax.process_count() == 1:
      return self._signalled
    return multihost_utils.reached_preemption_sync_point(next(_CALLS))
