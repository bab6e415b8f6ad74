"""Runs our training step on views that the host makes one by one.

The comparison shows the gain by augmentation inside the step, since network, loss and
optimizer are ours on both sides. `benchmarks.peers.pil_views` makes the views with PIL,
in worker processes a few batches ahead of the step, or in the training process itself
between two steps.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import multiprocessing
from typing import Any

import jax
import numpy as np

from benchmarks.peers import pil_views
from ssl_jax.methods import simclr
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import timing, workload

_AHEAD = 2  # number of batches that are made in advance


@dataclasses.dataclass(frozen=True)
class GivenViews(simclr.SimCLR):
  """Trains SimCLR on views of the batch: 'image' is uint8 [B, 2, h, w, C]."""

  def views(self, key: jax.Array, batch: Any) -> jax.Array:
    del key
    views = batch['image']
    return views.reshape(-1, *views.shape[2:]).astype(self.dtype) / 255


class Feed:
  """Implements the feed of ssl_jax/data/feed.py, as far as a step needs it.

  Args:
    feed: feed of the run, which gives the batch size and the shape of images.
    augment: section `augment` of the plain config.
    mesh: mesh of the devices.
    workers: number of processes that make views; 0 makes them in this process.
  """

  max_steps_per_dispatch = 1

  def __init__(self, feed: Any, augment: dict[str, Any], mesh: jax.sharding.Mesh,
               workers: int):
    self._mesh, self._augment = mesh, augment
    self.batch_size, self.image_shape = feed.batch_size, feed.image_shape
    self.num_examples, self.steps_per_epoch = feed.num_examples, feed.steps_per_epoch
    self._images = np.random.default_rng(0).integers(
        0, 256, (self.batch_size, *self.image_shape), np.uint8)
    self._label = np.zeros(self.batch_size, np.int32)
    # Workers are spawned, because a fork of a process with JAX's threads may deadlock.
    self._pool = workers and concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context('spawn'))
    self._parts = np.array_split(self._images, max(1, workers))
    self._pending, self._seeds = collections.deque(), itertools.count()

  def inputs(self, step: int, steps: int = 1) -> dict[str, jax.Array]:
    del step, steps  # the order of batches does not matter
    while len(self._pending) <= (_AHEAD if self._pool else 0):
      self._pending.append([self._start(part) for part in self._parts])
    made = [part.result() if self._pool else part for part in self._pending.popleft()]
    return mesh_lib.put_sharded(
        self._mesh, {'image': np.concatenate(made), 'label': self._label})

  def select(self, inputs: dict[str, jax.Array], step: jax.Array
             ) -> dict[str, jax.Array]:
    del step
    return inputs

  def _start(self, images: np.ndarray) -> Any:
    size = self._augment.get('size') or self.image_shape[0]
    arguments = images, self._augment['strength'], next(self._seeds), size
    if not self._pool:
      return pil_views.pairs(*arguments)
    return self._pool.submit(pil_views.pairs, *arguments)


class HostFed:
  """Trains in a `benchmarks.harness.worker` process; `run` is timed.

  Args:
    config: plain config of a case of SimCLR.
    workers: number of processes that make views; 0 makes them in the training process.
  """

  def __init__(self, config: dict[str, Any], workers: int):
    run = workload.training_run(config, 'synthetic')
    fields = {f.name: getattr(run.method, f.name)
              for f in dataclasses.fields(run.method)}
    self._workers = workers
    self._step = timing.CompiledStep(dataclasses.replace(
        run, method=GivenViews(**fields),
        feed=Feed(run.feed, config['augment'], run.mesh, workers)))

  def describe(self) -> dict[str, Any]:
    params = self._step.state.variables.params
    return {'parameters': sum(x.size for x in jax.tree.leaves(params)),
            'loader_workers': self._workers, 'jax': jax.__version__}

  def run(self, steps: int) -> float:
    """Returns the seconds per step, after the batches made in advance are used."""
    self._step.repeat(_AHEAD + 1)
    return self._step.repeat(steps)
