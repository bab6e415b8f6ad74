"""Distributes arrays over devices and processes.

No other module names an axis of the mesh.
"""

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
  """Returns a mesh of one axis over all devices of all processes.

  The type of the axis is Auto: the partitioner chooses the collectives. (JAX 0.9 made
  Explicit the default, which rejects losses written for the global batch.)

  Args:
    devices: the devices of the mesh; None is all devices.
  """
  devices = jax.devices() if devices is None else devices
  xla_flags.keep_cpu_sums_right()  # warns if JAX fell back to the CPU
  return jax.make_mesh((len(devices),), (DATA_AXIS,),
                       axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of an array that every device holds in full."""
  return NamedSharding(mesh, PartitionSpec())


def sharded(mesh: Mesh) -> NamedSharding:
  """Returns the sharding of an array whose first axis is split over all devices."""
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
  """Returns a context that makes the mesh visible to code traced inside it.

  Use it inside a jitted function. `num_devices`, `all_gather` and `shard_map_rows`
  need it. Most code needs none of these, because the partitioner distributes code that
  is written for one device.
  """
  return jax.sharding.use_abstract_mesh(mesh.abstract_mesh)


def num_devices() -> int:
  """Returns the number of devices of the mesh in `use_mesh`, or 1 outside of it."""
  mesh = jax.sharding.get_abstract_mesh()
  return 1 if mesh.empty else mesh.size


def all_gather(x: jax.Array) -> jax.Array:
  """Returns the same array, held in full by every device, by one all-gather."""
  if num_devices() == 1:
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec())


def divide_rows(x: jax.Array) -> jax.Array:
  """Returns the same array with its rows divided among the devices, if they can be."""
  if num_devices() == 1 or len(x) % num_devices():
    return x
  return jax.lax.with_sharding_constraint(x, PartitionSpec(DATA_AXIS))


def shard_map_rows(f: Callable[[Tree, Tree], Tree], rows: Tree, whole: Tree) -> Tree:
  """Computes `f(rows, whole)`; each device computes its own rows of the result.

  It can be differentiated. Gradients by `whole` are summed over the devices, once and
  in the dtype of `whole`, even if `f` casts it to another dtype.

  Args:
    f: maps some of the rows and all of `whole` to one result per row. It must not
      contain collectives.
    rows: arrays [N, ...], where N is a multiple of the number of devices.
    whole: arrays that each device reads in full; see `all_gather`.

  Returns:
    The results, [N, ...].
  """
  if num_devices() == 1:
    return f(rows, whole)
  split = PartitionSpec(DATA_AXIS)
  # `f` has no collectives, so JAX need not check how values vary over the mesh.
  return jax.shard_map(f, in_specs=(split, PartitionSpec()), out_specs=split,
                       check_vma=False)(rows, whole)


def put_replicated(mesh: Mesh, tree: Tree) -> Tree:
  """Copies host arrays, which must be equal on all processes, to every device.

  Args:
    mesh: the devices.
    tree: NumPy arrays or scalars.

  Returns:
    The same tree of replicated global arrays.
  """
  def put(x):
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, replicated(mesh), lambda i: x[i])
  return jax.tree.map(put, tree)


def put_sharded(mesh: Mesh, tree: Tree) -> Tree:
  """Makes global arrays, sharded over the devices, of the rows of each process.

  Args:
    mesh: the devices.
    tree: arrays of this process, its `local_rows` of a global batch.

  Returns:
    The same tree of global arrays with the rows of all processes.
  """
  return jax.tree.map(
      lambda x: jax.make_array_from_process_local_data(sharded(mesh), x), tree)


def local_rows(batch_size: int) -> slice:
  """Returns the rows of a global batch that this process gives to `put_sharded`."""
  n = batch_size // jax.process_count()
  return slice(jax.process_index() * n, (jax.process_index() + 1) * n)


def check_divisible(mesh: Mesh, batch_size: int, field: str) -> None:
  """Raises `errors.UserError` if the devices cannot share a batch evenly.

  Args:
    mesh: the devices.
    batch_size: number of images of the global batch.
    field: name of the config field of the batch size, for the message.
  """
  if batch_size % mesh.size:
    below = batch_size // mesh.size * mesh.size
    near = ' or '.join(str(n) for n in (below, below + mesh.size) if n)
    raise errors.UserError(
        f'{field} is {batch_size}, which {mesh.size} devices cannot share evenly; '
        f'use a multiple of {mesh.size}, for example {near}')


def gather(tree: Tree) -> Tree:
  """Copies replicated or sharded global arrays to NumPy arrays on every process."""
  if jax.process_count() == 1:
    return jax.tree.map(np.asarray, tree)
  from jax.experimental import multihost_utils
  return jax.tree.map(
      lambda x: np.asarray(multihost_utils.process_allgather(x, tiled=True)), tree)
