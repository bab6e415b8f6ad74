"""Runs an object in another process, and calls its methods over a pipe.

Two frameworks in one process compete for threads and memory. Here each has its own
process, which sleeps until it is called:

  ours = worker.Worker('benchmarks.harness.ours:Ours', config=config)
  seconds = ours.call('run', steps=8)
"""

import contextlib
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping
from typing import Any


class Failed(Exception):
  """Raised if a call in the other process fails; its message is one line."""


class Worker:
  """Builds an object of `module:Class` in another process.

  Args:
    target: 'module:Class' of the object.
    environment: environment variables in addition to those of this process.
    limit: most seconds of the construction and of each call.
    **arguments: keyword arguments of the class, of types that JSON has.

  Raises:
    Failed: the construction raised, its process ended, or it took longer than `limit`.
  """

  def __init__(self, target: str, environment: Mapping[str, str] | None = None,
               limit: float = 3600, **arguments: Any):
    self._target, self.limit = target, limit
    self._log = tempfile.TemporaryFile('w+')  # noqa: SIM115
    self._process = subprocess.Popen(
        [sys.executable, '-m', 'benchmarks.harness.worker', target], text=True,
        cwd=pathlib.Path(__file__).parents[2], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=self._log,
        env={**os.environ, **(environment or {})})
    with _closed_on_error(self):
      self.call('__init__', **arguments)

  def call(self, method: str, **arguments: Any) -> Any:
    """Calls a method in the other process.

    Args:
      method: name of the method.
      **arguments: its keyword arguments, of types that JSON has.

    Returns:
      The result of the method, of a type that JSON has.

    Raises:
      Failed: the method raised, its process ended, or it took longer than `limit`.
    """
    late = threading.Event()
    timer = threading.Timer(self.limit, lambda: (late.set(), self._process.kill()))
    timer.start()
    try:
      self._process.stdin.write(json.dumps([method, arguments]) + '\n')
      self._process.stdin.flush()
      line = self._process.stdout.readline()
    except BrokenPipeError:
      line = ''
    finally:
      timer.cancel()
    if not line:
      why = f'took more than {self.limit:.0f} s' if late.is_set() else self._end()
      raise Failed(f'{self._target}.{method}: {why}')
    result, error = json.loads(line)
    if error:
      raise Failed(f'{self._target}.{method}: {error}')
    return result

  def _end(self) -> str:
    status = self._process.wait()
    self._log.seek(0)
    lines = [line.strip() for line in self._log if line.strip()]
    if status == -signal.SIGKILL:
      return 'the process was killed, perhaps because memory was exhausted'
    return f'ended with status {status}' + (f': {lines[-1][:300]}' if lines else '')

  def close(self) -> None:
    """Ends the other process; kills it if it does not end within 10 seconds."""
    for pipe in (self._process.stdin, self._process.stdout):
      with contextlib.suppress(BrokenPipeError):
        pipe.close()
    try:
      self._process.wait(10)
    except subprocess.TimeoutExpired:
      self._process.kill()
      self._process.wait()
    self._log.close()

  def __enter__(self) -> 'Worker':
    return self

  def __exit__(self, *unused: Any) -> None:
    self.close()


@contextlib.contextmanager
def _closed_on_error(worker: Worker) -> Iterator[None]:
  try:
    yield
  except Failed:
    worker.close()
    raise


def serve(target: str) -> None:
  """Answers the calls on standard input until it is closed."""
  # Standard output has only answers; output of libraries goes to standard error.
  answers = os.fdopen(os.dup(1), 'w')
  os.dup2(2, 1)
  module, _, name = target.partition(':')
  served = None
  for line in sys.stdin:
    method, arguments = json.loads(line)
    result = error = None
    try:
      if method == '__init__':
        served = getattr(importlib.import_module(module), name)(**arguments)
      else:
        result = getattr(served, method)(**arguments)
    except Exception as e:
      traceback.print_exc()
      error = f'{type(e).__name__}: {" ".join(str(e).split())[:300]}'
    answers.write(json.dumps([result, error]) + '\n')
    answers.flush()


if __name__ == '__main__':
  serve(sys.argv[1])
