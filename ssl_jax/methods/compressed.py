"""A method whose weights are pruned and quantized while it trains.

Pruning is global magnitude pruning by the schedules of compression/pruning.py.
Quantization is straight-through: the loss sees the quantized weights, and the optimizer
updates the weights in full precision.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.compression import kernels as kernels_lib
from ssl_jax.compression import pruning, quantization
from ssl_jax.methods import around as around_lib
from ssl_jax.methods import base, distilled


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compression:
  """Sets how weights are pruned and quantized: the section `compression`."""
  sparsity: float = config_lib.field(
      low=0, below=1, doc='Final fraction of the prunable weights that are zero; 0 '
      'prunes nothing')
  schedule: str = config_lib.field(
      'cubic', choices=pruning.SCHEDULES,
      doc='How the sparsity rises; one_shot prunes once, at start')
  start: float = config_lib.field(
      0.1, low=0, high=1,
      doc='Fraction of the training after which the sparsity begins to rise')
  end: float = config_lib.field(
      0.6, low=0, high=1,
      doc='Fraction of the training at which the final sparsity is reached')
  every: float = config_lib.field(
      0.01, above=0, high=1,
      doc='Fraction of the training from one update of the masks to the next')
  criterion: str = config_lib.field(
      'magnitude', choices=pruning.CRITERIA,
      doc='Weights that are pruned: the smallest of all layers (magnitude), of each '
      'layer (uniform), or any of each layer (random)')
  floor: float = config_lib.field(
      0.001, low=0, high=1, doc='Least fraction of its weights that a layer keeps')
  dense_stem: bool = config_lib.field(
      True, doc='Whether the layers that read the image are not pruned')
  dense_head: bool = config_lib.field(
      True, doc='Whether the layers after the encoder are not pruned')
  bits: int | None = config_lib.field(
      6, low=quantization.BITS[0], high=quantization.BITS[1],
      doc='Bits of a weight; None does not quantize')
  per: str = config_lib.field(
      'channel', choices=quantization.GRANULARITIES,
      doc='Whether each output channel or each kernel (tensor) has a scale')
  distillation: float = config_lib.field(
      0., low=0, doc='Weight of the distance of pooled features from those of the same '
      'view before the training, in addition to the loss; 0 is without it')

  def __post_init__(self):
    if self.schedule != 'one_shot' and self.end <= self.start:
      raise errors.UserError(
          f'config.compression.end is {self.end:g}, which is not after '
          f'config.compression.start={self.start:g}; use a larger end, or '
          '--config.compression.schedule=one_shot')
    pruning.check_floor(self.floor, self.sparsity)


@dataclasses.dataclass(frozen=True)
class Compressed(around_lib.Around):
  """Trains another method with pruned and quantized weights.

  All kernels that the other method trains are quantized. `Variables.params` holds
  weights in full precision, in which pruned weights are exactly zero. What
  `encoder_variables` returns is compressed, so whoever scores or saves an encoder need
  not know that it is. `Variables.non_trainable` is a dictionary: 'inner' has the
  variables of the other method, 'masks' is True where a weight is kept, and 'level' is
  the number of updates of the masks, int32.

  Attributes:
    inner: the other method.
    compression: the schedule, the criterion and the numbers of bits.
    keep_zeros: whether weights of a pre-trained encoder that are zero count as pruned.
  """
  compression: Compression
  keep_zeros: bool = False

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    """Draws the variables of the other method, of which no weight is pruned.

    Args:
      key: the random key.
      image_shape: [H, W, C] of an image.
    """
    variables = self.inner.init(key, image_shape)
    masks = {path: jnp.ones(w.shape, bool)
             for path, w in self._prunable(variables.params).items()}
    return self._with_state(variables, masks, jnp.zeros((), jnp.int32))

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Puts in a pre-trained encoder, as `FineTune.with_pretrained` does.

    Args:
      variables: fresh ones, of which the classifier stays.
      encoder: what `encoder_variables` of the pre-training method returned.
    """
    state = variables.non_trainable
    new = self.inner.with_pretrained(self.inner_variables(variables), encoder)
    masks = _by_path(state['masks'])
    if self.keep_zeros:
      before = {('network', *path): w
                for path, w in kernels_lib.find(encoder['params']).items()}
      masks |= {path: before[path] != 0 for path in masks.keys() & before.keys()}
    return self._with_state(new, masks, state['level'])

  def loss(self, params: base.Tree, variables: base.Variables, views: base.Tree,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the loss of the other method with compressed weights.

    Args:
      params: in full precision; the loss is differentiated with respect to them.
      variables: all variables before the step.
      views: what `views` returned.
      labels: int32 [B], -1 where an image has none.
    """
    state = variables.non_trainable
    inner = self._compact(variables.replace(params=params))
    loss, output = self.inner.loss(inner.params, inner, views, labels)
    if state['masks']:
      share = pruning.sparsity(_by_path(state['masks']))
      output = output.replace(metrics={**output.metrics, 'sparsity': share})
    if output.non_trainable is not None:
      output = output.replace(non_trainable={**state, 'inner': output.non_trainable})
    return loss, output

  def after_update(self, variables: base.Variables,
                   progress: jax.Array) -> base.Variables:
    """Prunes where an update of the masks is due, then updates the other method.

    Args:
      variables: with the new parameters and what the loss returned.
      progress: the fraction of training that is done, a float32 scalar.
    """
    state, params = variables.non_trainable, variables.params
    masks, level = _by_path(state['masks']), state['level']
    if masks:
      due = self._schedule.level(progress)
      masks = jax.lax.cond(due > level, self._prune, lambda params, masks, due: masks,
                           params, masks, due)
      level = jnp.maximum(level, due)
      params = _pruned(params, masks)
    inner = self.inner.after_update(
        self.inner_variables(variables).replace(params=params), progress)
    return self._with_state(inner, masks, level)

  def encoder_variables(self, variables: base.Variables) -> base.Tree:
    """Returns the variables that `encode` accepts, with compressed weights."""
    return self.inner.encoder_variables(self._compact(variables))

  @property
  def _schedule(self) -> pruning.Schedule:
    how = self.compression
    return pruning.Schedule(how.sparsity, how.schedule, how.start, how.end, how.every)

  def _prunable(self, params: base.Tree) -> kernels_lib.Kernels:
    how = self.compression
    if not how.sparsity:
      return {}
    return kernels_lib.prunable(params, dense_stem=how.dense_stem,
                                dense_head=how.dense_head)

  def _prune(self, params: base.Tree, masks: kernels_lib.Kernels,
             level: jax.Array) -> kernels_lib.Kernels:
    """Returns the masks of a level of the schedule."""
    how, weights = self.compression, self._prunable(params)
    sizes = [w.size for w in weights.values()]
    levels, floors = self._schedule.levels(), pruning.at_least(sizes, how.floor)
    if how.criterion == 'magnitude':
      keep = jnp.asarray(pruning.to_keep([sum(sizes)], levels))[level, 0]
      return pruning.prune_globally(pruning.magnitudes(weights), masks, keep, floors)
    keep = jnp.asarray(np.maximum(pruning.to_keep(sizes, levels), floors))[level]
    scores = (pruning.magnitudes(weights) if how.criterion == 'uniform' else
              pruning.random_scores(weights, jax.random.key(0)))
    return pruning.prune_layers(scores, masks, keep)

  def _compact(self, variables: base.Variables) -> base.Variables:
    """Returns the variables of the other method with compressed weights."""
    params = _pruned(variables.params, _by_path(variables.non_trainable['masks']))
    if self.compression.bits is not None:
      params = quantization.quantize_tree(params, bits=self.compression.bits,
                                          per=self.compression.per)
    return self.inner_variables(variables).replace(params=params)

  def _with_state(self, inner: base.Variables, masks: kernels_lib.Kernels,
                  level: jax.Array) -> base.Variables:
    return inner.replace(non_trainable={
        'inner': inner.non_trainable, 'level': level,
        'masks': traverse_util.unflatten_dict(masks)})


def around(method: base.Base, compression: Compression | None,
           keep_zeros: bool = False) -> base.Base | Compressed:
  """Returns the method with compression, or the method itself without.

  Args:
    method: any method.
    compression: the section of the config, or None.
    keep_zeros: whether weights of a pre-trained encoder that are zero count as pruned.
  """
  if compression is None:
    return method
  if compression.distillation:
    method = distilled.Distilled(method, compression.distillation)
  return Compressed(method, compression, keep_zeros)


def _by_path(masks: base.Tree) -> kernels_lib.Kernels:
  """Returns masks by the paths of their kernels, in the order of `kernels.find`."""
  return dict(sorted(traverse_util.flatten_dict(masks).items()))


def _pruned(params: base.Tree, masks: kernels_lib.Kernels) -> base.Tree:
  weights = kernels_lib.find(params)
  return kernels_lib.replace(params, pruning.apply(weights, masks))
