"""Connects the processes of a run, compares their facts, and makes them fail together.
"""

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from ssl_jax import errors, plain_config


def join_cluster(requested: bool = False, timeout: int = 300) -> None:
  """Connects to the other processes of a multi-host run; does nothing without them.

  The cluster is either given by the environment variables JAX_COORDINATOR_ADDRESS
  (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID, which a launcher sets, or it is
  `requested` and JAX finds it by itself (TPU pods, Slurm, Open MPI). This function
  must be called before any use of a device. If the other processes do not connect in
  time, JAX aborts the process; `cli.setup_jax` prints the reason before.

  Args:
    requested: whether to look for a cluster if the variables are not set.
    timeout: time to wait for the other processes, in seconds.

  Raises:
    errors.UserError: one of the three variables is missing or invalid, or JAX finds
      no cluster.
  """
  if address := os.environ.get('JAX_COORDINATOR_ADDRESS'):
    if not re.fullmatch(r'.+:\d+', address):
      raise errors.UserError(
          f'JAX_COORDINATOR_ADDRESS is {address!r}; set it to host:port, for example '
          '10.0.0.1:1234')
    processes, process = (_from_environment(name)
                          for name in ('JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'))
    if process >= processes:
      raise errors.UserError(
          f'JAX_PROCESS_ID is {process}, but JAX_NUM_PROCESSES is {processes}; it must '
          f'be 0 to {processes - 1}')
    jax.distributed.initialize(address, processes, process,
                               initialization_timeout=timeout)
  elif requested:
    try:
      jax.distributed.initialize(initialization_timeout=timeout)
    except ValueError as e:
      raise errors.UserError(
          '--distributed is set, but JAX finds no TPU pod, Slurm or Open MPI job here '
          f'({e}); remove the flag, or set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES '
          'and JAX_PROCESS_ID') from e


def _from_environment(name: str) -> int:
  value = os.environ.get(name, '')
  if not value.isdigit():
    raise errors.UserError(
        f'JAX_COORDINATOR_ADDRESS is set, but {name} is {value!r}; the launcher must '
        'set it to a number')
  return int(value)


def allgather_text(text: str) -> list[str]:
  """Returns the text of each process, in their order; all processes must call it."""
  if not jax.distributed.is_initialized():
    return [text]
  from jax.experimental import multihost_utils
  own = np.frombuffer(text.encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.int32(own.size))
  width = -(-max(sizes) // 256) * 256  # JAX compiles once for each width
  texts = multihost_utils.process_allgather(np.pad(own, (0, width - own.size)))
  return [t[:n].tobytes().decode() for t, n in zip(texts, sizes, strict=True)]


@contextlib.contextmanager
def fail_together() -> Iterator[None]:
  """Raises on every process if the body fails on one, and names that process.

  It is a context for work that depends on a host, such as on its files or its disk.
  Without it, one process would end while the others wait for it. The body must not
  contain a collective that only some processes reach.

  Raises:
    errors.UserError: the body raised one on any process. If all processes raised the
      same message, that message is kept.
  """
  try:
    yield
  except errors.UserError as e:
    raise _first_failure(_exchange_with_host(str(e))) from e
  except Exception as e:
    _exchange_with_host(f'{type(e).__name__}: {e}')
    raise
  if failure := _first_failure(_exchange_with_host('')):
    raise failure


def assert_equal_across_processes(facts: Mapping[str, Any], remedy: str) -> None:
  """Raises on all processes if their facts differ; all processes must call it.

  Args:
    facts: a nested dictionary that can be written as JSON.
    remedy: the end of the message, which says what to do.

  Raises:
    errors.UserError: a process differs from process 0. The message names it and the
      facts that differ.
  """
  said = _exchange_with_host(json.dumps(facts))
  for i, (_, text) in enumerate(said):
    if changed := plain_config.difference(json.loads(said[0][1]), json.loads(text)):
      raise errors.UserError(f'{_name(said, i)} differs from process 0 '
                             f'({plain_config.summary(changed)}); {remedy}')


def _exchange_with_host(text: str) -> list[list[str]]:
  """Returns [host, text] of each process; all processes must call it."""
  return [json.loads(t) for t in allgather_text(json.dumps([platform.node(), text]))]


def _first_failure(messages: list[list[str]]) -> errors.UserError | None:
  sentences = [text for _, text in messages]
  if not any(sentences):
    return None
  if len(set(sentences)) == 1:
    return errors.UserError(sentences[0])
  i = next(i for i, text in enumerate(sentences) if text)
  return errors.UserError(f'{_name(messages, i)}: {sentences[i]}')


def _name(messages: list[list[str]], i: int) -> str:
  return f'process {i} of {len(messages)} (on {messages[i][0]})'
