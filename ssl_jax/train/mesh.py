"""Processes, devices and how arrays lie on them. Nothing else names an axis."""

import contextlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ssl_jax import config as config_lib
from ssl_jax import errors, xla_flags

DATA_AXIS = 'data'
Tree = Any


def initialize_distributed(requested: bool = False, timeout: int = 300) -> None:
  """Joins the other processes of a multi-host run; a no-op for a single one.

  Either a launcher names the cluster by JAX_COORDINATOR_ADDRESS (host:port),
  JAX_NUM_PROCESSES and JAX_PROCESS_ID, or it is `requested` and JAX finds it by
  itself (TPU pods, Slurm, Open MPI). Call it before anything touches a device.
  Where the others do not come within `timeout` seconds JAX aborts the process;
  `app.setup_jax` says why before it does.

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


def exchange(text: str) -> list[str]:
  """What each process says, in their order. A collective: all must call it."""
  if not jax.distributed.is_initialized():
    return [text]
  from jax.experimental import multihost_utils
  said = np.frombuffer(text.encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.int32(said.size))
  width = -(-max(sizes) // 256) * 256  # few widths: each is compiled
  rows = multihost_utils.process_allgather(np.pad(said, (0, width - said.size)))
  return [row[:n].tobytes().decode() for row, n in zip(rows, sizes, strict=True)]


@contextlib.contextmanager
def together() -> Iterator[None]:
  """Where what one process does in it fails, all stop, and say which one failed.

  For what depends on a host: its files, its disk. Otherwise one process ends and
  the others wait for it. It must not hold a collective that only some reach.

  Raises:
    errors.UserError: in it one was raised, here or elsewhere. What all processes
      say alike is said as it is.
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


def check_same(facts: Mapping[str, Any], remedy: str) -> None:
  """A collective that fails unless all processes give the same (nested) facts.

  Raises:
    errors.UserError: on all of them: which process differs from process 0, in
      what, and the `remedy`.
  """
  said = _exchange_with_host(json.dumps(facts))
  for i, (_, text) in enumerate(said):
    if changed := config_lib.difference(json.loads(said[0][1]), json.loads(text)):
      raise errors.UserError(f'{_name(said, i)} differs from process 0 '
                             f'({config_lib.summary(changed)}); {remedy}')


def _exchange_with_host(text: str) -> list[list[str]]:
  """[host, text] of each process."""
  return [json.loads(t) for t in exchange(json.dumps([platform.node(), text]))]


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


def data_mesh(devices: list[jax.Device] | None = None) -> Mesh:
  """One axis over all devices of all processes.

  The axis is Auto: the partitioner chooses the collectives. (JAX 0.9 made
  Explicit the default, which rejects the global-view losses.)
  """
  devices = jax.devices() if devices is None else devices
  xla_flags.keep_cpu_sums_right()  # warns if JAX fell back to the CPU after all
  return jax.make_mesh((len(devices),), (DATA_AXIS,),
                       axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
  return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
  """The first axis of an array is split over all devices."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def ambient(mesh: Mesh) -> AbstractContextManager[None]:
  """While in it, inside a jitted function, what is traced may ask for devices.

  Most code need not: the partitioner spreads what is written as for one device.
  `devices`, `on_all_devices` and `map_rows` are for what it cannot see.
  """
  return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def devices() -> int:
  """Over how many the function being traced will run; 1 outside of `ambient`."""
  mesh = jax.sharding.get_abstract_mesh()
  return 1 if mesh.empty else mesh.size


def on_all_devices(x: jax.Array) -> jax.Array:
  """The same array, of which every device holds the whole: one all-gather."""
  if devices() == 1:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())


def map_rows(f: Callable[[Tree, Tree], Tree], rows: Tree, whole: Tree) -> Tree:
  """`f(rows, whole)`, where each device computes its own rows of the result.

  It can be differentiated: gradients by `whole` are summed over the devices, once
  and in its dtype, whatever `f` casts it to.

  Args:
    f: takes some of the rows, and all of `whole`, to one result per row; without
      collectives.
    rows: arrays [N, ...], N a multiple of the devices.
    whole: arrays that each device reads in full, see `on_all_devices`.
  """
  if devices() == 1:
    return f(rows, whole)
  split = PartitionSpec(DATA_AXIS)
  # There is no collective in `f` whose result could be declared wrongly.
  return jax.shard_map(f, in_specs=(split, PartitionSpec()), out_specs=split,
                       check_vma=False)(rows, whole)


def put_replicated(mesh: Mesh, tree: Tree) -> Tree:
  """Copies host arrays, equal on all processes, to every device."""
  def put(x):
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, replicated(mesh), lambda i: x[i])
  return jax.tree.map(put, tree)


def put_sharded(mesh: Mesh, tree: Tree) -> Tree:
  """Makes global arrays of this process' rows: its `local_rows` of the batch."""
  return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(sharded(mesh), x), tree)


def local_rows(batch_size: int) -> slice:
  """The rows of a global batch that this process feeds to `put_sharded`."""
  n = batch_size // jax.process_count()
  return slice(jax.process_index() * n, (jax.process_index() + 1) * n)


def check_divisible(mesh: Mesh, batch_size: int, field: str) -> None:
  """Raises `errors.UserError` where the devices cannot share a batch evenly."""
  if batch_size % mesh.size:
    below = batch_size // mesh.size * mesh.size
    near = ' or '.join(str(n) for n in (below, below + mesh.size) if n)
    raise errors.UserError(
        f'{field} is {batch_size}, which {mesh.size} devices cannot share evenly; '
        f'use a multiple of {mesh.size}, for example {near}')


def gather(tree: Tree) -> Tree:
  """Fetches replicated or sharded global arrays as NumPy on every process."""
  if jax.process_count() == 1:
    return jax.tree.map(np.asarray, tree)
  from jax.experimental import multihost_utils
  return jax.tree.map(
      lambda x: np.asarray(multihost_utils.process_allgather(x, tiled=True)), tree)
