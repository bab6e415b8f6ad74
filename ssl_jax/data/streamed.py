"""Feeds data that do not fit a device: Grain's workers decode a few steps ahead."""

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
_MAX_BLOCK = 32  # images of one read, a single request to ArrayRecord


@dataclasses.dataclass(frozen=True)
class LoaderConfig:
  """Sets how many threads and processes decode, and how far ahead.

  Attributes:
    threads: Number of threads that decode at the same time. PIL releases the
      interpreter's lock while it decodes and resamples, so threads scale well.
    processes: Number of worker processes that share the threads; with 0 the threads
      run in this process.
    batches_ahead: Number of batches that are decoded before they are needed, on the
      host and again on the devices; 2 is double buffering.
  """

  threads: int = 16
  processes: int = 0
  batches_ahead: int = 2


@dataclasses.dataclass(frozen=True, eq=False)
class BatchBlocks:
  """Cuts this process' part of every batch into blocks, which Grain indexes.

  Attributes:
    source: The data set.
    plan: Returns the examples in the global batch of a step.
    rows: The part of a global batch that this process reads.
    size: Number of examples in a block.
    replace_bad: Whether an image that does not decode is replaced by the next one that
      does, because training needs full batches. Evaluation masks it instead.
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
    indices = self.plan.indices(step)[self.rows]
    return read(self.source, indices[part * self.size:(part + 1) * self.size],
                self.replace_bad)


def read(source: sources.Source, indices: np.ndarray,
         replace_bad: bool) -> sources.Examples:
  """Reads examples; the index -1 is padding, see `Source.blank`.

  Args:
    source: The data set.
    indices: int [n].
    replace_bad: Whether an image that does not decode is replaced by the next one that
      does; otherwise it is masked.

  Raises:
    errors.UserError: Too many images do not decode, or none decodes.
  """
  real = indices >= 0
  if real.all():  # always so in training; images are not copied
    examples = source.read(indices)
  else:
    examples = source.blank(len(indices))
    if real.any():
      examples.put(real, source.read(indices[real]))
  for i in np.flatnonzero(~examples.mask & real) if replace_bad else ():
    examples.put([i], _next_good(source, int(indices[i])))
  return examples


def _next_good(source: sources.Source, index: int) -> sources.Examples:
  """Returns the next example after `index` whose image decodes."""
  for step in range(1, len(source)):
    example = source.read(np.array([(index + step) % len(source)]))
    if example.mask[0]:
      return example
  raise errors.UserError(f'{source.name} has no image that decodes; replace its images')


def batches(source: sources.Source, plan: order.Shuffled | order.Sequential, mesh: Mesh,
            first_step: int, workers: LoaderConfig,
            replace_bad: bool) -> Iterator[Batch]:
  """Returns sharded batches, which are read and copied to devices ahead of time.

  Args:
    source: The data set.
    plan: Returns the examples in the global batch of a step.
    mesh: Devices that share a batch.
    first_step: The step of the first batch.
    workers: Threads and processes that decode.
    replace_bad: Whether an image that does not decode is replaced by the next one that
      does; otherwise it is masked.

  Returns:
    An iterator over batches like those of `feed.eval_batches`.
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
  return as_batch(sources.Examples(*(
      None if parts[0] is None else np.concatenate(parts)
      for parts in zip(*blocks, strict=True))))


def as_batch(examples: sources.Examples) -> Batch:
  """Returns the arrays of examples under the names that a batch has."""
  batch = {'image': examples.images, 'label': examples.labels, 'mask': examples.mask}
  return batch if examples.valid_sizes is None else {
      **batch, 'valid_size': examples.valid_sizes}


class StreamedFeed:
  """Feeds batches of a data set that stays on disk.

  The batches equal those of `feed.ResidentFeed`. Steps should be requested in order.
  Any other step, such as the first one of a resumed run, restarts the workers; there
  is no iterator state to save.

  Args:
    source: The data set.
    batch_size: B, over all devices of all processes.
    seed: Seed of the order of examples.
    mesh: Devices that share a batch.
    workers: Threads and processes that decode.

  Raises:
    errors.UserError: The batch is larger than the data set, or the devices cannot
      share it evenly.
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
    """Returns the argument of `select`, which is the batch of `step` itself.

    Raises:
      ValueError: `steps` is more than one.
    """
    if steps != 1:
      raise ValueError(f'{steps} steps per dispatch, but a streamed feed allows only 1')
    if self._latest is None or self._latest[0] != step:
      if self._latest is None or self._latest[0] != step - 1:
        self._restart(step)
      batch = next(self._batches[0])
      self._latest = step, {k: x for k, x in batch.items() if k != 'mask'}
    return self._latest[1]

  def select(self, inputs: Batch, step: jax.Array) -> Batch:
    """Returns the batch of `step`, which is `inputs`; can be traced."""
    del step
    return inputs

  def batch_at(self, step: int) -> Batch:
    """Returns the batch of a step, like `feed.ResidentFeed.batch_at`."""
    return self.inputs(step)

  def close(self) -> None:
    """Stops the workers; the next request for a step starts them again."""
    self._close()
    self._latest = None

  def _restart(self, step: int) -> None:
    self._close()
    self._batches = [batches(self._source, self._plan, self._mesh, step,
                             self._workers, replace_bad=True)]
    # It also runs at exit, before Python unloads the modules that it needs.
    self._close = weakref.finalize(self, _close_last, self._batches)


def _close_last(iterators: list[Iterator[Batch]]) -> None:
  """Closes the iterator and removes it, before Grain's own finalizer would run."""
  iterators.pop().close()
