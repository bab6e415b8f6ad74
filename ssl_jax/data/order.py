"""Computes the order in which examples are visited, a function of seed and step.

NumPy draws the permutations, not `jax.random`, because Grain's worker processes need
them and must not start JAX. NumPy's compatibility policy (NEP 19) covers the seed
sequence and the Philox stream, and a stable sort has only one result. So an order is
the same on every machine and version.
"""

import dataclasses
import functools
import math
import threading

import numpy as np

from ssl_jax import errors

_EPOCH, _SUBSET = 0, 1
_one_at_a_time = threading.Lock()


def subset_permutation(n: int, seed: int, group: int) -> np.ndarray:
  """Returns a permutation, int32 [n], from which subsets are drawn.

  Args:
    n: Number of examples.
    seed: Seed of the permutation.
    group: Number of a group, such as a class; permutations of groups are independent.
  """
  return _permutation(n, _SUBSET, seed, group)


def epoch_permutation(n: int, seed: int, epoch: int) -> np.ndarray:
  """Returns the order of the examples in one epoch, read-only int32 [n].

  The results of the latest calls are cached.

  Args:
    n: Number of examples.
    seed: Seed of the permutations of all epochs.
    epoch: Number of the epoch, from 0.
  """
  with _one_at_a_time:  # at a new epoch, all threads call this at the same time
    return _cached_epoch(n, seed, epoch)


@functools.lru_cache(maxsize=8)
def _cached_epoch(n: int, seed: int, epoch: int) -> np.ndarray:
  order = _permutation(n, _EPOCH, seed, epoch)
  order.setflags(write=False)
  return order


def _permutation(n: int, purpose: int, seed: int, index: int) -> np.ndarray:
  if seed < 0:
    raise errors.UserError(f'seed is {seed}; use zero or a positive integer')
  key = np.random.SeedSequence((purpose, seed, index)).generate_state(2, np.uint64)
  draws = np.random.Philox(key=key).random_raw(n)
  return np.argsort(draws, kind='stable').astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Shuffled:
  """Orders examples for training, with a new permutation for each epoch.

  The last examples of an epoch are dropped if they do not make a whole batch.

  Attributes:
    num_examples: N, the number of examples.
    batch_size: B, over all processes.
    seed: Seed of the permutations.

  Raises:
    errors.UserError: The batch is larger than the data set, or not positive.
  """

  num_examples: int
  batch_size: int
  seed: int

  def __post_init__(self):
    if self.batch_size < 1:
      raise errors.UserError(
          f'config.feed.batch_size is {self.batch_size}; use a positive integer')
    if self.batch_size > self.num_examples:
      raise errors.UserError(
          f'config.feed.batch_size is {self.batch_size}, more than the '
          f'{self.num_examples} images of the data set; use at most '
          f'{self.num_examples}, for example --config.feed.batch_size='
          f'{2**int(math.log2(self.num_examples))}')

  @property
  def steps_per_epoch(self) -> int:
    return self.num_examples // self.batch_size

  def indices(self, step: int) -> np.ndarray:
    """Returns the indices of the examples in the global batch of a step, int32 [B]."""
    epoch, i = divmod(step, self.steps_per_epoch)
    order = epoch_permutation(self.num_examples, self.seed, epoch)
    return order[i * self.batch_size:(i + 1) * self.batch_size]

  def __len__(self) -> int:
    return 2**31 - 1  # steps; JAX counts them in int32


@dataclasses.dataclass(frozen=True)
class Sequential:
  """Orders examples for one pass over a data set, without a permutation.

  Attributes:
    num_examples: N, the number of examples.
    batch_size: B, over all processes; the last batch is padded with the index -1.
  """

  num_examples: int
  batch_size: int

  def indices(self, step: int) -> np.ndarray:
    """Returns the indices of the examples of a step, int32 [B]; -1 is padding."""
    indices = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
    return np.where(indices < self.num_examples, indices, -1).astype(np.int32)

  def __len__(self) -> int:
    return -(-self.num_examples // self.batch_size)
