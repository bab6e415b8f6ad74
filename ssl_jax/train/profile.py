"""Writes a JAX profiler trace of a few early dispatches."""

import pathlib
from typing import Any

import jax
from absl import logging


class Profiler:
  """Traces five dispatches; call `at(step)` after every dispatch.

  The trace is written to <workdir>/profile.

  Args:
    workdir: the folder of the run.
    start: the first step that is traced; by then everything should be compiled.
    on: whether to trace at all.
  """

  def __init__(self, workdir: pathlib.Path, *, start: int, on: bool):
    self._folder, self._start, self._left = workdir / 'profile', start, 5 * on
    self._running = False

  def __enter__(self) -> 'Profiler':
    return self

  def __exit__(self, *unused: Any) -> None:
    if self._running:
      jax.profiler.stop_trace()
      logging.info('Profile written to %s; open it with `tensorboard --logdir` or at '
                   'ui.perfetto.dev', self._folder)
      self._running = False

  def at(self, step: int) -> None:
    """Starts or ends the trace if it is due after `step` steps."""
    if self._running:
      self._left -= 1
      if not self._left:
        self.__exit__()
    elif self._left and step >= self._start:
      jax.profiler.start_trace(str(self._folder))
      self._running = True
