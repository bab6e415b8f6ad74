"""Makes the processes of a run find each other, agree, and fail together."""

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
  """Joins the other processes of a multi-host run; a no-op for a single one.

  Either a launcher names the cluster by JAX_COORDINATOR_ADDRESS (host:port),
  JAX_NUM_PROCESSES and JAX_PROCESS_ID, or it is `requested` and JAX finds it by
  itself (TPU pods, Slurm, Open MPI). Call it before anything touches a device.
  If the others do not join within `timeout` seconds, JAX aborts the process;
  `cli.setup_jax` prints the reason before.

  Raises:
    errors.UserError: one of the three variables is missing or makes no sense, or
      JAX finds no cluster.
  """
  if address := os.environ.get('JAX_COORDINATOR_ADDRESS'):
    if not re.fullmatch(r'.+:\d+', address):
      raise errors.UserError(
          f'JAX_COORDINATOR_ADDRESS is {address!r}; it must be host:port')
    processes, process = (_from_environment(name)
                          for name in ('JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'))
    if process >= processes:
      raise errors.UserError(
          f'JAX_PROCESS_ID is {process}; of {processes} processes it must be 0 to '
          f'{processes - 1}')
    jax.distributed.initialize(address, processes, process,
                               initialization_timeout=timeout)
  elif requested:
    try:
      jax.distributed.initialize(initialization_timeout=timeout)
    except ValueError as e:
      raise errors.UserError(
          '--distributed is set, but JAX finds no TPU pod, Slurm or Open MPI job here '
          f'({e}); leave it out, or set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and '
          'JAX_PROCESS_ID') from e


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
  said = np.frombuffer(text.encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.int32(said.size))
  width = -(-max(sizes) // 256) * 256  # few widths: each is compiled
  rows = multihost_utils.process_allgather(np.pad(said, (0, width - said.size)))
  return [row[:n].tobytes().decode() for row, n in zip(rows, sizes, strict=True)]


@contextlib.contextmanager
def fail_together() -> Iterator[None]:
  """Raises on every process if the body fails on one, and names that one.

  It is for work that depends on a host: its files, its disk. Without it one process
  would end while the others wait for it. The body must not contain a collective that
  only some processes reach.

  Raises:
    errors.UserError: the body raised one, here or elsewhere. If all processes raised
      the same sentence, that sentence is kept.
  """
  try:
    yield
  except errors.UserError as e:
    said = _exchange_with_host(str(e))
    raise _first_failure(said) from e
  except Exception as e:
    _exchange_with_host(f'{type(e).__name__}: {e}')
    raise
  if failure := _first_failure(_exchange_with_host('')):
    raise failure


def assert_equal_across_processes(facts: Mapping[str, Any], remedy: str) -> None:
  """A collective that fails unless all processes give the same (nested) facts.

  Raises:
    errors.UserError: on all of them: which process differs from process 0, in
      what, and the `remedy`.
  """
  said = _exchange_with_host(json.dumps(facts))
  for i, (_, text) in enumerate(said):
    if changed := plain_config.difference(json.loads(said[0][1]), json.loads(text)):
      raise errors.UserError(f'{_name(said, i)} differs from process 0 '
                             f'({plain_config.summary(changed)}); {remedy}')


def _exchange_with_host(text: str) -> list[list[str]]:
  """[host, text] of each process."""
  return [json.loads(t) for t in allgather_text(json.dumps([platform.node(), text]))]


def _first_failure(said: list[list[str]]) -> errors.UserError | None:
  sentences = [text for _, text in said]
  if not any(sentences):
    return None
  if len(set(sentences)) == 1:
    return errors.UserError(sentences[0])
  i = next(i for i, text in enumerate(sentences) if text)
  return errors.UserError(f'{_name(said, i)}: {sentences[i]}')


def _name(said: list[list[str]], i: int) -> str:
  return f'process {i} of {len(said)} (on {said[i][0]})'
