"""Hears SIGTERM, so that the loop can save before the machine goes away."""

import signal
from typing import Any

import jax
from jax.experimental import multihost_utils


class Listener:
  """A context in which `reached(step)` tells whether to save and stop.

  With several processes JAX's coordination service spreads one host's signal
  and makes all of them agree on the step.
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

  def reached(self, step: int) -> bool:
    if jax.process_count() == 1:
      return self._signalled
    return multihost_utils.reached_preemption_sync_point(step)
