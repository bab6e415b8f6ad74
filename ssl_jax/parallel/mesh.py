"""Processes, devices and how arrays lie on them. Nothing else names an axis."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax.experimental.layout import Format, Layout
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ssl_jax import errors
from ssl_jax.parallel import xla_flags

DATA_AXIS = 'data'
Tree = Any


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


def stored(tree: Tree, mesh: Mesh) -> Tree:
  """Returns the sharding, and on GPUs the memory layout, in which a state is kept.

  On GPUs cuDNN takes convolution kernels [k, k, in, out] with the outputs first in
  memory. Kernels and their momentum that are kept so need no transposition on the way
  in and out of a step, and the optimizer can update them in place. TPUs and CPUs keep
  what JAX calls the default.

  Args:
    tree: arrays, or their shapes.
    mesh: devices that each hold all of the state.

  Returns:
    A tree of `jax.sharding.Sharding` or `jax.experimental.layout.Format`, for
    `jax.device_put` and `jax.jit`.
  """
  whole = replicated(mesh)
  outputs_first = Format(Layout((3, 0, 1, 2)), whole)
  on_gpu = mesh.devices.flat[0].platform == 'gpu'
  return jax.tree.map(lambda x: outputs_first if on_gpu and x.ndim == 4 else whole,
                      tree)


def use_mesh(mesh: Mesh) -> AbstractContextManager[None]:
  """While in it, inside a jitted function, what is traced may ask for devices.

  Most code need not: the partitioner spreads what is written as for one device.
  `num_devices`, `on_all_devices` and `map_rows` are for what it cannot see.
  """
  return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def num_devices() -> int:
  """Over how many the function being traced will run; 1 outside of `ambient`."""
  mesh = jax.sharding.get_abstract_mesh()
  return 1 if mesh.empty else mesh.size


def all_gather(x: jax.Array) -> jax.Array:
  """The same array, of which every device holds the whole: one all-gather."""
  if num_devices() == 1:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())


def shard_map_rows(f: Callable[[Tree, Tree], Tree], rows: Tree, whole: Tree) -> Tree:
  """`f(rows, whole)`, where each device computes its own rows of the result.

  It can be differentiated: gradients by `whole` are summed over the devices, once
  and in its dtype, whatever `f` casts it to.

  Args:
    f: takes some of the rows, and all of `whole`, to one result per row; without
      collectives.
    rows: arrays [N, ...], N a multiple of the devices.
    whole: arrays that each device reads in full, see `on_all_devices`.
  """
  if num_devices() == 1:
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
