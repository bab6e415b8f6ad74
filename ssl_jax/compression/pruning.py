"""Chooses which weights are zero: schedules, thresholds and masks.

Weights, scores and masks are dictionaries of arrays by the path of a kernel, see
compression/kernels.py. A score is a uint32 below 2^31; the weights with the smallest
scores are pruned first. A mask is True where a weight is kept. Masks only lose weights:
what was pruned stays pruned.

Thresholds are found by counting. The bits of |w|, a float32 number, order the weights
as |w| does. A threshold is therefore an integer of 31 bits, and 31 counts find it
exactly, without sorting the weights. Counts are sums of integers, so that any number of
devices finds the same threshold.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax import errors
from ssl_jax.compression.kernels import Kernels, Path

_BITS = 31  # of a score
# An update happens at its step although float32 rounds the progress of training.
_TOLERANCE = 1e-3

# The sparsity after the fraction u of the updates, where S is the final sparsity.
SHAPES: dict[str, Callable[[float, float], float]] = {
    'cubic': lambda u, final: final * (1 - (1 - u)**3),
    'linear': lambda u, final: final * u,
    'iterative': lambda u, final: 1 - (1 - final)**u,
}
SCHEDULES = (*SHAPES, 'one_shot')
CRITERIA = ('magnitude', 'uniform', 'random')


@dataclasses.dataclass(frozen=True)
class Schedule:
  """A sequence of sparsities, and the moments of training at which they are reached.

  'cubic' is the schedule of Zhu & Gupta 2017, arXiv:1710.01878, equation 1, which
  prunes fast as long as weights are redundant. 'linear' prunes the same number of
  weights at each update. 'iterative' prunes the same fraction of the remaining weights
  at each update, as the cycles of iterative magnitude pruning do (Han et al. 2015,
  arXiv:1506.02626). 'one_shot' prunes once, at `start`.

  Attributes:
    sparsity: the final fraction of the prunable weights that are zero.
    shape: an entry of `SCHEDULES`.
    start: the fraction of training after which the sparsity begins to rise.
    end: the fraction of training at which the final sparsity is reached.
    every: the fraction of training from one update of the masks to the next.
  """
  sparsity: float
  shape: str = 'cubic'
  start: float = 0.1
  end: float = 0.6
  every: float = 0.01

  @property
  def updates(self) -> int:
    """The number of updates of the masks."""
    if self.shape == 'one_shot':
      return 1
    return max(1, round((self.end - self.start) / self.every))

  def levels(self) -> np.ndarray:
    """Returns the sparsity after 0, 1, ... updates, float64 [updates + 1]."""
    if self.shape == 'one_shot':
      return np.array([0, self.sparsity])
    shape, n = SHAPES[self.shape], self.updates
    return np.array([shape(i / n, self.sparsity) for i in range(n)] + [self.sparsity])

  def level(self, progress: jax.Array) -> jax.Array:
    """Returns the number of updates that are due, int32, an index into `levels()`.

    Args:
      progress: the fraction of training that is done, a float32 scalar.
    """
    if self.shape == 'one_shot':
      return (progress >= self.start).astype(jnp.int32)
    due = (progress - self.start) / (self.end - self.start) * self.updates
    return jnp.clip(jnp.floor(due + _TOLERANCE), 0, self.updates).astype(jnp.int32)


def to_keep(sizes: Sequence[int], sparsities: Sequence[float]) -> np.ndarray:
  """Returns how many weights each layer keeps, int32 [len(sparsities), len(sizes)].

  At least one weight is kept.

  Args:
    sizes: number of weights of each layer.
    sparsities: fractions of the weights that are pruned.
  """
  sizes = np.asarray(sizes, np.float64)
  pruned = np.rint(np.asarray(sparsities, np.float64)[:, None] * sizes)
  return np.maximum(sizes - pruned, 1).astype(np.int32)


def at_least(sizes: Sequence[int], floor: float) -> np.ndarray:
  """Returns the least number of weights that each layer keeps, int32 [layers].

  Args:
    sizes: number of weights of each layer.
    floor: the least fraction of its weights that a layer keeps.
  """
  return np.ceil(np.asarray(sizes, np.float64) * floor - _TOLERANCE).astype(np.int32)


def check_floor(floor: float, sparsity: float) -> None:
  """Raises `errors.UserError` if the floors alone keep more than the sparsity leaves.

  Args:
    floor: the least fraction of its weights that a layer keeps.
    sparsity: the final fraction of all weights that are pruned.
  """
  if floor > 1 - sparsity + 1e-9:
    raise errors.UserError(
        f'config.compression.floor is {floor:g}: each layer would keep more than the '
        f'{1 - sparsity:.4g} of all weights that config.compression.sparsity='
        f'{sparsity:g} leaves; use --config.compression.floor=0 or a larger number up '
        f'to {1 - sparsity:.4g}')


def magnitudes(weights: Kernels) -> Kernels:
  """Returns the bits of |w| as scores, which order weights as |w| does."""
  return {path: jax.lax.bitcast_convert_type(jnp.abs(w.astype(jnp.float32)), jnp.uint32)
          for path, w in weights.items()}


def random_scores(weights: Kernels, key: jax.Array) -> Kernels:
  """Draws scores that do not depend on the weights, only on their shapes."""
  return {path: jax.random.bits(jax.random.fold_in(key, i), w.shape, jnp.uint32) >> 1
          for i, (path, w) in enumerate(weights.items())}


def prune_layers(scores: Kernels, masks: Kernels, keep: jax.Array) -> Kernels:
  """Prunes each layer by a threshold of its own.

  Args:
    scores: uint32 arrays by path.
    masks: the weights that are not pruned yet.
    keep: how many weights each layer keeps at least, int32 [layers]. Equal scores at
      the threshold are all kept.

  Returns:
    The new masks.
  """
  return _above(scores, masks, layer_thresholds(scores, masks, keep))


def prune_globally(scores: Kernels, masks: Kernels, keep: jax.Array,
                   floors: jax.Array) -> Kernels:
  """Prunes all layers by one threshold, except where a layer would keep too few.

  A layer without weights would interrupt the network (layer collapse). A layer at its
  floor has a lower threshold; the common threshold is higher in return, so that the
  total is still `keep`.

  Args:
    scores: uint32 arrays by path.
    masks: the weights that are not pruned yet.
    keep: how many weights all layers together keep at least, int32. Equal scores at
      the threshold are all kept.
    floors: how many weights each layer keeps at least, int32 [layers].

  Returns:
    The new masks.
  """
  own = layer_thresholds(scores, masks, floors)
  limit = lambda threshold: jnp.minimum(threshold, own)
  threshold = _largest((), lambda t: _counts(scores, masks, limit(t)).sum() >= keep)
  return _above(scores, masks, limit(threshold))


def layer_thresholds(scores: Kernels, masks: Kernels, keep: jax.Array) -> jax.Array:
  """Returns for each layer the largest threshold that keeps enough, uint32 [layers].

  The threshold is 0 in a layer that has fewer weights left than it should keep.

  Args:
    scores: uint32 arrays by path.
    masks: the weights that are not pruned yet.
    keep: how many weights each layer keeps at least, int32 [layers].
  """
  return _largest((len(scores),), lambda t: _counts(scores, masks, t) >= keep)


def kept(masks: Kernels) -> dict[Path, jax.Array]:
  """Returns the number of weights that are kept in each layer, int32 scalars."""
  return {path: mask.sum(dtype=jnp.int32) for path, mask in masks.items()}


def sparsity(masks: Kernels) -> jax.Array:
  """Returns the fraction of all weights that are pruned, a float32 scalar."""
  total = sum(mask.size for mask in masks.values())
  return (total - sum(kept(masks).values())) / jnp.float32(total)


def apply(weights: Mapping[Path, jax.Array],
          masks: Mapping[Path, jax.Array]) -> Kernels:
  """Returns the weights with exact zeros where they are pruned.

  The gradient of a pruned weight is zero as well.
  """
  return {path: jnp.where(mask, weights[path], 0) for path, mask in masks.items()}


def _above(scores, masks, thresholds):
  """Returns masks of what is not pruned yet and reaches its layer's threshold."""
  return {path: masks[path] & (score >= thresholds[i])
          for i, (path, score) in enumerate(scores.items())}


def _counts(scores, masks, thresholds):
  """Returns how many weights each layer would keep, int32 [layers]."""
  return jnp.stack(list(kept(_above(scores, masks, thresholds)).values()))


def _largest(shape: tuple[int, ...],
             enough: Callable[[jax.Array], jax.Array]) -> jax.Array:
  """Returns the largest thresholds that keep enough, uint32 of `shape`.

  Args:
    shape: of the thresholds.
    enough: maps thresholds to booleans of `shape`; a lower threshold keeps more.
  """
  def decide(i, threshold):
    higher = threshold | (jnp.uint32(1) << (_BITS - 1 - i).astype(jnp.uint32))
    return jnp.where(enough(higher), higher, threshold)
  return jax.lax.fori_loop(0, _BITS, decide, jnp.zeros(shape, jnp.uint32))
