"""Data that does not fit a device: decoded by Grain's workers, a few steps ahead."""

import dataclasses
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import Mesh

from ssl_jax import errors
from ssl_jax.data import order, sources
from ssl_jax.parallel import mesh as mesh_lib

Batch = dict[str, Any]
_MAX_BLOCK = 32  # images per read: one ArrayRecord request, little to wait for


@dataclasses.dataclass(frozen=True)
class LoaderConfig:
  """Sets how many threads and processes decode, and how far ahead.

  Attributes:
    threads: Number of threads that decode at the same time. PIL releases the
      interpreter's lock while it decodes and resamples, so threads scale well.
    processes: Number of further processes that share the threads; 0 uses this one.
    batches_ahead: Number of batches decoded before they are needed, on the host and
      again on the devices; 2 is double buffering.
  """

  threads: int = 16
  processes: int = 0
  batches_ahead: int = 2


@dataclasses.dataclass(frozen=True, eq=False)
class BatchBlocks:
  """Cuts this process' part of every batch into blocks, which Grain indexes.

  Attributes:
    source: The data set.
    plan: Gives the examples in the global batch of a step.
    rows: This process' part of a batch.
    size: Examples per block.
    replace_bad: A bad image gives way to the next good one, as training needs
      full batches; evaluation masks it instead.
  """

  source: sources.Source
  plan: order.Shuffled | order.Sequential
  rows: slice
  size: int
  replace_bad: bool

  @property
  def per_batch(self) -> int:
    return (self.rows.stop - self.rows.start) // self.size

  def __len__(self) -> int:
    return len(self.plan) * self.per_batch

  def __getitem__(self, index: int) -> sources.Examples:
    step, part = divmod(int(index), self.per_batch)
    indices = self.plan.rows(step)[self.rows]
    return read(self.source, indices[part * self.size:(part + 1) * self.size],
                self.replace_bad)


def read(source: sources.Source, indices: np.ndarray,
         replace_bad: bool) -> sources.Examples:
  """Reads rows; index -1 is padding, see `Source.blank`.

  Raises:
    errors.UserError: Too many bad images, or none that is good.
  """
  real = indices >= 0
  if real.all():  # as in training: images are not copied
    rows = source.read(indices)
  else:
    rows = source.blank(len(indices))
    if real.any():
      rows.put(real, source.read(indices[real]))
  for i in np.flatnonzero(~rows.mask & real) if replace_bad else ():
    rows.put([i], _next_good(source, int(indices[i])))
  return rows


def _next_good(source: sources.Source, index: int) -> sources.Examples:
  for step in range(1, len(source)):
    row = source.read(np.array([(index + step) % len(source)]))
    if row.mask[0]:
      return row
  raise errors.UserError(f'{source.name} has no image that decodes')


def batches(source: sources.Source, plan: order.Shuffled | order.Sequential, mesh: Mesh,
            first_step: int, workers: LoaderConfig,
            replace_bad: bool) -> Iterator[Batch]:
  """Sharded batches from `first_step` on, read and copied to devices ahead of time.

  Yields batches as `feed.eval_batches`.
  """
  rows = mesh_lib.local_rows(plan.batch_size)
  local = rows.stop - rows.start
  size = next(k for k in range(min(_MAX_BLOCK, local), 0, -1) if local % k == 0)
  blocks = BatchBlocks(source, plan, rows, size, replace_bad)
  share = max(1, workers.processes)
  ahead = -(-workers.batches_ahead * blocks.per_batch // share)
  threads = -(-workers.threads // share)
  dataset = grain.MapDataset.source(blocks)[first_step * blocks.per_batch:]
  dataset = dataset.to_iter_dataset(
      grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(threads, ahead)))
  if workers.processes:
    dataset = dataset.mp_prefetch(
        grain.MultiprocessingOptions(num_workers=workers.processes))
  dataset = dataset.batch(blocks.per_batch, batch_fn=_concatenate)
  dataset = dataset.map(lambda batch: mesh_lib.put_sharded(mesh, batch))
  return iter(grain.experimental.ThreadPrefetchIterDataset(
      dataset, prefetch_buffer_size=workers.batches_ahead))


def _concatenate(blocks: Sequence[sources.Examples]) -> Batch:
  return as_batch(sources.Examples(*(None if parts[0] is None else np.concatenate(parts)
                              for parts in zip(*blocks, strict=True))))


def as_batch(rows: sources.Examples) -> Batch:
  """Returns the arrays of `rows` under the names that a batch has."""
  batch = {'image': rows.images, 'label': rows.labels, 'mask': rows.mask}
  return batch if rows.valid_sizes is None else {
      **batch, 'valid_size': rows.valid_sizes}


class StreamedFeed:
  """Feeds batches of a data set that stays on disk, as `feed.ResidentFeed` does.

  Steps are meant to be asked for in order. A jump (a resumed run) costs one
  restart of the workers and nothing else: there is no iterator state to save.

  Args:
    source: The data set.
    batch_size: B, over all devices of all processes.
    seed: Seeds the order of examples.
    mesh: Devices that share a batch.
    workers: See `LoaderConfig`.

  Raises:
    errors.UserError: The batch is larger than the data set, or indivisible.
  """

  max_steps_per_dispatch = 1

  def __init__(self, source: sources.Source, batch_size: int, seed: int, mesh: Mesh,
               workers: LoaderConfig = LoaderConfig()):
    self._plan = order.Shuffled(len(source), batch_size, seed)
    mesh_lib.check_divisible(mesh, batch_size, 'config.feed.batch_size')
    self._source, self._mesh, self._workers = source, mesh, workers
    self.batch_size, self.num_examples = batch_size, len(source)
    self.steps_per_epoch = self._plan.steps_per_epoch
    self.image_shape = source.image_shape
    self._latest: tuple[int, Batch] | None = None
    self._close = lambda: None

  def inputs(self, step: int, steps: int = 1) -> Batch:
    """Returns what `select` needs, which is the batch of `step` itself.

    Raises:
      ValueError: `steps` is more than one.
    """
    if steps != 1:
      raise ValueError(f'a streamed feed gives one step per dispatch, not {steps}')
    if self._latest is None or self._latest[0] != step:
      if self._latest is None or self._latest[0] != step - 1:
        self._restart(step)
      batch = next(self._batches[0])
      self._latest = step, {k: x for k, x in batch.items() if k != 'mask'}
    return self._latest[1]

  def select(self, inputs: Batch, step: jax.Array) -> Batch:
    """The batch of `step`, traceable."""
    del step
    return inputs

  def batch_at(self, step: int) -> Batch:
    """Returns the batch of a step, as `feed.ResidentFeed.batch_at` does."""
    return self.inputs(step)

  def close(self) -> None:
    """Stops the workers; the next step asked for starts them again."""
    self._close()
    self._latest = None

  def _restart(self, step: int) -> None:
    self._close()
    self._batches = [batches(self._source, self._plan, self._mesh, step,
                             self._workers, replace_bad=True)]
    # Also runs at exit, before the modules that closing needs are torn down.
    self._close = weakref.finalize(self, _close_last, self._batches)


def _close_last(iterators: list[Iterator[Batch]]) -> None:
  """Closes and forgets, so that nothing is left to Grain's own finalizer."""
  iterators.pop().close()
