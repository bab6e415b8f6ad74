"""Puts the batch of a step on the devices.

`ResidentFeed` and `streamed.StreamedFeed` have the same interface, `Feed`. Both visit
the examples in the order of `order.Shuffled`, so that they return the same batches:

  inputs(step, steps=1)  returns a tree of arrays, an argument of the training step
  select(inputs, step)   is traced inside that step and returns 'image' and 'label',
                         and with a canvas 'valid_size'; see `ResidentFeed.batch_at`
  batch_at(step)         calls both from the host
  batch_size, steps_per_epoch, num_examples, image_shape, max_steps_per_dispatch
  close()                stops background threads and processes
"""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax.sharding import Mesh

from ssl_jax import config as config_lib
from ssl_jax.data import notices, order, sources, streamed
from ssl_jax.parallel import mesh as mesh_lib

MODES = ('auto', 'resident', 'streamed')
Batch = dict[str, jax.Array]


class Feed(Protocol):
  """Describes the interface of a feed; see the docstring of the module.

  Attributes:
    batch_size: B, over all devices of all processes.
    steps_per_epoch: Number of whole batches in an epoch.
    num_examples: Number of examples of the data set.
    image_shape: (H, W, C).
    max_steps_per_dispatch: Largest number of steps in one call of `inputs`.
  """

  batch_size: int
  steps_per_epoch: int
  num_examples: int
  image_shape: tuple[int, int, int]
  max_steps_per_dispatch: int

  def inputs(self, step: int, steps: int = 1) -> Any: ...
  def select(self, inputs: Any, step: jax.Array) -> Batch: ...
  def batch_at(self, step: int) -> Batch: ...
  def close(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class FeedConfig:
  """Sets how many images make a batch, and how they reach the devices."""
  batch_size: int = config_lib.field(
      low=1, doc='Images in a batch, over all devices of all processes')
  mode: str = config_lib.field(
      'auto', choices=MODES,
      doc='Whether every device holds the data set (resident) or it is read during '
      'training (streamed); auto is resident if it fits')
  resident_fraction: float = config_lib.field(
      0.25, low=0, high=1, doc="Fraction of a device's memory that a resident data set "
      "may take in the mode auto; a CPU device has its share of the host's memory")
  threads: int = config_lib.field(
      16, low=1, doc='Number of threads on each host that decode streamed images')
  processes: int = config_lib.field(
      0, low=0, doc='Number of worker processes on each host that share those threads; '
      'with 0 they run in the main process')


class ResidentInputs(NamedTuple):
  """Holds the data set and the order of two epochs, replicated on every device.

  Attributes:
    images: uint8 [N, H, W, C].
    labels: int32 [N].
    orders: int32 [2, N], the permutations of two successive epochs, because a
      dispatch of several steps may start in one epoch and end in the next.
    first_epoch: int32 [], the number of the epoch of `orders[0]`.
    valid_sizes: int32 [N, 2], the height and width of images on a canvas, in pixels;
      None without a canvas.
  """

  images: jax.Array
  labels: jax.Array
  orders: jax.Array
  first_epoch: jax.Array
  valid_sizes: jax.Array | None


class ResidentFeed:
  """Feeds batches of a data set that every device holds as uint8.

  The host has no work within an epoch. Each device takes its images by index, without
  communication.

  Args:
    arrays: The data set.
    batch_size: B, over all devices of all processes.
    seed: Seed of the order of examples.
    mesh: Devices that share a batch.

  Raises:
    errors.UserError: The batch is larger than the data set, or the devices cannot
      share it evenly.
  """

  def __init__(self, arrays: sources.Arrays, batch_size: int, seed: int, mesh: Mesh):
    self._plan = order.Shuffled(len(arrays), batch_size, seed)
    mesh_lib.check_divisible(mesh, batch_size, 'config.feed.batch_size')
    self._mesh = mesh
    self.batch_size, self.num_examples = batch_size, len(arrays)
    self.steps_per_epoch = self._plan.steps_per_epoch
    self.max_steps_per_dispatch = self.steps_per_epoch
    self.image_shape = arrays.image_shape
    self._images, self._labels, self._valid_sizes = mesh_lib.put_replicated(
        mesh, (arrays.images, arrays.labels, arrays.valid_sizes))
    self._epoch = -1
    self._orders = ()
    self._batch = jax.jit(self.select)

  def inputs(self, step: int, steps: int = 1) -> ResidentInputs:
    """Returns the argument of `select` for the steps `step, ..., step + steps - 1`.

    Raises:
      ValueError: The steps are more than an epoch.
    """
    if steps > self.max_steps_per_dispatch:
      raise ValueError(f'{steps} steps per dispatch are more than an epoch of '
                       f'{self.max_steps_per_dispatch}; use at most that number')
    epoch = step // self.steps_per_epoch
    if epoch != self._epoch:
      orders = [order.epoch_permutation(self.num_examples, self._plan.seed, e)
                for e in (epoch, epoch + 1)]
      self._orders = mesh_lib.put_replicated(
          self._mesh, (np.stack(orders), np.int32(epoch)))
      self._epoch = epoch
    return ResidentInputs(self._images, self._labels, *self._orders, self._valid_sizes)

  def select(self, inputs: ResidentInputs, step: jax.Array) -> Batch:
    """Returns the batch of `step` (int32 []), sharded over the mesh; can be traced."""
    epoch, i = jnp.divmod(step, self.steps_per_epoch)
    indices = jax.lax.dynamic_slice(
        inputs.orders, (epoch - inputs.first_epoch, i * self.batch_size),
        (1, self.batch_size))[0]
    # The indices are sharded, so that each device gathers only its own images.
    indices = jax.lax.with_sharding_constraint(indices, mesh_lib.sharded(self._mesh))
    batch = {'image': inputs.images, 'label': inputs.labels}
    if inputs.valid_sizes is not None:
      batch['valid_size'] = inputs.valid_sizes
    batch = {k: x.at[indices].get(mode='promise_in_bounds') for k, x in batch.items()}
    return jax.lax.with_sharding_constraint(batch, mesh_lib.sharded(self._mesh))

  def batch_at(self, step: int) -> Batch:
    """Returns the batch of `step`, sharded over the mesh.

    The batch has 'image', uint8 [B, H, W, C], and 'label', int32 [B]. With a canvas it
    also has 'valid_size', int32 [B, 2], the height and width in pixels of each image,
    which is at the top left of the canvas.
    """
    on_device = mesh_lib.put_replicated(self._mesh, np.int32(step))
    return self._batch(self.inputs(step), on_device)

  def close(self) -> None:
    """Does nothing, because this feed has no background threads."""


def make_feed(source: sources.Source, config: FeedConfig, *, seed: int,
              mesh: Mesh) -> Feed:
  """Chooses how batches reach the devices; logs which way, once per data set.

  Args:
    source: The data set.
    config: The size of a batch, and how it reaches the devices.
    seed: Seeds the order of examples.
    mesh: Devices that share a batch.

  Raises:
    errors.UserError: The batch does not fit the data or the devices.
  """
  batch_size, mode = config.batch_size, config.mode
  # Before anything is decoded: a wrong batch size should fail at once.
  order.Shuffled(len(source), batch_size, seed)
  mesh_lib.check_divisible(mesh, batch_size, 'config.feed.batch_size')
  memory = device_memory(mesh)
  fits = source.nbytes <= config.resident_fraction * memory
  resident = fits if mode == 'auto' else mode == 'resident'
  _log_where(source, resident,
             f'config.feed.mode is {mode!r}' if mode != 'auto' else
             f'{megabytes(memory)} of memory, of which they may take '
             f'{config.resident_fraction:g}')
  if resident:
    return ResidentFeed(source.load_into_memory(), batch_size, seed, mesh)
  return streamed.StreamedFeed(source, batch_size, seed, mesh,
                               streamed.LoaderConfig(config.threads, config.processes))


def eval_batches(source: sources.Source, batch_size: int, mesh: Mesh,
                 threads: int = 16) -> Iterator[Batch]:
  """Yields all examples once, in order, in the same number of batches on every process.

  Args:
    source: The data set.
    batch_size: B, over all devices of all processes.
    mesh: Devices that share a batch.
    threads: Number of threads on each host that decode images.

  Yields:
    Batches as `ResidentFeed.batch_at` returns them, and 'mask', bool [B]. The mask is
    False for images that do not decode and for the padding of the last batch, which
    has the label -1, black pixels and the size of the canvas.

  Raises:
    errors.UserError: The devices cannot share a batch evenly.
  """
  mesh_lib.check_divisible(mesh, batch_size, 'batch_size')
  plan = order.Sequential(len(source), batch_size)
  if isinstance(source, sources.Arrays):
    for step in range(len(plan)):
      indices = plan.indices(step)[mesh_lib.local_rows(batch_size)]
      examples = streamed.read(source, indices, replace_bad=False)
      yield mesh_lib.put_sharded(mesh, streamed.as_batch(examples))
    return
  batches = streamed.batches(source, plan, mesh, 0, streamed.LoaderConfig(threads),
                             replace_bad=False)
  try:
    yield from batches
  finally:
    batches.close()


def _log_where(source: sources.Source, resident: bool, why: str) -> None:
  """Logs where the images are held."""
  size = megabytes(source.nbytes)
  where = (f'kept on the device ({size})' if resident else
           f'read as they are needed ({size} decoded; {why})')
  notices.log_once(logging.INFO, f'{source.name}: {len(source):,} images, {where}')


def megabytes(n: int) -> str:
  """Formats a number of bytes as '0.4 MB', '169 MB' or '25.3 GB'."""
  if n >= 1e9:
    return f'{n / 1e9:,.1f} GB'
  return f'{n / 1e6:.1f} MB' if n < 1e7 else f'{n / 1e6:.0f} MB'


def device_memory(mesh: Mesh) -> int:
  """Returns the memory of a device in bytes, the smallest value of all processes."""
  stats = mesh.local_devices[0].memory_stats() or {}
  host = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  own = stats.get('bytes_limit', host // len(mesh.local_devices))
  if jax.process_count() == 1:
    return own
  mebibytes = np.full(len(mesh.local_devices), own >> 20, np.int32)
  return int(mesh_lib.gather(mesh_lib.put_sharded(mesh, mebibytes)).min()) << 20
