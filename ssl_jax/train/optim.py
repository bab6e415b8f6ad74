"""Builds an optax optimizer and its schedule from the fields of a config."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ssl_jax import config, errors
from ssl_jax.train import norms

Tree = Any

SCALINGS: dict[str, Callable[[int], float]] = {
    'linear': lambda batch_size: batch_size / 256,
    'sqrt': math.sqrt,
    'none': lambda batch_size: 1.0,
}
WEIGHT_DECAY_MASKS = {
    'kernels': lambda path: not (_is_norm(path) or _is_bias(path)),
    'no_norm': lambda path: not _is_norm(path),
    'all': lambda path: True,
}
# Parameters that are added to activations. timm's ViTs do not decay tokens either.
_BIASES = ('bias', 'class_token', 'registers', 'position')
SCHEDULES = ('cosine', 'linear', 'step', 'constant')


@dataclasses.dataclass(frozen=True)
class Optim:
  """An optimizer, its learning rate over time and its weight decay.

  Weight decay is L2: `weight_decay * w` is added to the gradient first, as in torch and
  google-research/simclr. In AdamW it bypasses the moments instead and is multiplied by
  the learning rate only. google-research/simclr uses the mask 'kernels' with LARS and
  'no_norm' with other optimizers; RotNet, which uses torch, has the mask 'all'.
  """
  name: str = config.field(
      'lars', choices=('lars', 'sgd', 'adam', 'adamw'), doc='The optimizer')
  learning_rate: float = config.field(
      0.3, low=0, doc='The highest learning rate, before scaling')
  learning_rate_scaling: str = config.field(
      'linear', choices=tuple(SCALINGS),
      doc='Factor of the learning rate for a global batch of B images: B/256 '
      '(linear), sqrt(B) (sqrt) or 1 (none)')
  schedule: str = config.field(
      'cosine', choices=SCHEDULES,
      doc='After the warm-up the rate falls to 0 at the last step, along a cosine '
      '(cosine) or a line (linear), is multiplied by factor at each boundary (step), '
      'or is constant (constant)')
  warmup_epochs: float = config.field(
      0, low=0, doc='Epochs of a linear rise of the learning rate from 0')
  boundaries_epochs: tuple[float, ...] = config.field(
      (), low=0, doc='For the schedule step: epochs, counted from 0; the first step of '
      'each is the first with a new rate')
  factor: float = config.field(
      0.1, above=0, doc='For the schedule step: factor of the rate at a boundary')
  weight_decay: float = config.field(
      0.0, low=0, doc='Coefficient of the weight decay, not scaled by the batch size')
  weight_decay_mask: str = config.field(
      'kernels', choices=tuple(WEIGHT_DECAY_MASKS),
      doc='Parameters that decay: all but those of normalisation and biases (kernels), '
      'all but those of normalisation (no_norm), or all; tokens and position '
      'embeddings of a ViT count as biases')
  momentum: float = config.field(
      0.9, low=0, below=1, doc='Momentum of lars and sgd')
  nesterov: bool = config.field(
      True, doc='Whether the momentum of sgd is Nesterov\'s')
  trust_coefficient: float = config.field(
      0.001, above=0, doc='Trust coefficient of lars')
  betas: tuple[float, float] = config.field(
      (0.9, 0.999), low=0, below=1, doc='Decay rates of the moments of adam and adamw')
  clip_norm: float | None = config.field(
      None, above=0, doc='Largest global norm of the gradient, which is scaled down to '
      'it; None is no clipping')
  multipliers: dict | None = config.field(
      None, low=0, doc='Factors of the learning rate by the name of a module on the '
      'path to the parameters, such as head=10; factors of several names multiply')
  constant: tuple[str, ...] = config.field(
      (), doc='Names of modules whose learning rate is the peak throughout, without '
      'warm-up and schedule, such as the predictor of SimSiam')

  def __post_init__(self):
    for name, factor in (self.multipliers or {}).items():
      if isinstance(factor, bool) or not isinstance(factor, int | float) or not (
          0 <= factor < math.inf):
        raise errors.UserError(f'config.optim.multipliers.{name} is {factor!r}; it '
                               'must be a finite number from 0 up')
    if bool(self.boundaries_epochs) != (self.schedule == 'step'):
      raise errors.UserError(
          f'config.optim.boundaries_epochs is {self.boundaries_epochs} and '
          f'config.optim.schedule is {self.schedule!r}; the schedule "step" needs at '
          'least one boundary, and the others accept none')
    if list(self.boundaries_epochs) != sorted(set(self.boundaries_epochs)):
      raise errors.UserError(
          f'config.optim.boundaries_epochs is {self.boundaries_epochs}; each must be '
          'later than the one before')


def build(optim: Optim, *, batch_size: int, num_examples: int, total_steps: int
          ) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """Returns the optimizer, and its schedule for the log: step -> learning rate.

  An epoch is `num_examples // batch_size` steps; the images that remain are not used.

  Args:
    optim: the optimizer, its learning rate and its weight decay.
    batch_size: images in a global batch.
    num_examples: images in an epoch.
    total_steps: the step at which a rate reaches 0. In google-research/simclr it
      is `num_examples * epochs // batch_size + 1`.

  Raises:
    errors.UserError: the warm-up is as long as the run.
  """
  schedule = learning_rate(optim, batch_size=batch_size,
                           steps_per_epoch=max(num_examples // batch_size, 1),
                           total_steps=total_steps)
  tx = _OPTIMIZERS[optim.name](optim, _scale_by_rate(optim, schedule, batch_size))
  if optim.clip_norm is not None:
    tx = optax.chain(optax.clip_by_global_norm(optim.clip_norm), tx)
  return tx, schedule


def learning_rate(optim: Optim, *, batch_size: int, steps_per_epoch: int,
                  total_steps: int) -> optax.Schedule:
  """Returns the schedule, a function from the step to the learning rate.

  At step s of a warm-up of S = floor(warmup_epochs * steps_per_epoch) steps, the rate
  is s/S of the peak, so it is 0 at first, as in google-research/simclr. There, an epoch
  of the warm-up is N / B steps for N images and batches of B; here every epoch is
  floor(N / B) steps.

  Args:
    optim: the peak, the warm-up and the schedule.
    batch_size: images in a global batch, by which the peak is scaled.
    steps_per_epoch: steps in an epoch of the warm-up and of the boundaries.
    total_steps: the step at which a rate with the schedule cosine or linear reaches 0.

  Returns:
    A function from int to a float32 scalar.

  Raises:
    errors.UserError: the warm-up is as long as the run.
  """
  peak = _peak(optim, batch_size)
  warmup = int(optim.warmup_epochs * steps_per_epoch)
  if warmup >= total_steps > 0:
    raise errors.UserError(
        f'config.optim.warmup_epochs is {optim.warmup_epochs}, which is {warmup} '
        f'steps, but the run has only {total_steps}; use a shorter warm-up, such as '
        '--config.optim.warmup_epochs=0, or more epochs')

  if optim.schedule == 'cosine':
    decay = optax.cosine_decay_schedule(peak, max(total_steps - warmup, 1))
    main = lambda step: decay(step - warmup)
  elif optim.schedule == 'linear':  # after pruning: Zimmer et al., arXiv:2111.00843
    decay = optax.linear_schedule(peak, 0., max(total_steps - warmup, 1))
    main = lambda step: decay(step - warmup)
  elif optim.schedule == 'step':
    main = optax.piecewise_constant_schedule(
        peak, {round(epoch * steps_per_epoch): optim.factor
               for epoch in optim.boundaries_epochs})
  else:
    main = lambda step: jnp.asarray(peak, jnp.float32)

  def schedule(step: jax.typing.ArrayLike) -> jax.Array:
    step = jnp.asarray(step)
    return jnp.where(step < warmup, peak * step / max(warmup, 1), main(step))

  return schedule


def with_frozen(optim: Optim, names: Sequence[str]) -> Optim:
  """Returns an optimizer whose learning rate is 0 for some modules.

  They do not decay either, because every optimizer multiplies its weight decay by the
  learning rate.

  Args:
    optim: the optimizer; multipliers of other modules are kept.
    names: names of modules or parameters.
  """
  if not names:
    return optim
  return dataclasses.replace(
      optim, multipliers={**(optim.multipliers or {}), **dict.fromkeys(names, 0.)})


def _peak(optim: Optim, batch_size: int) -> float:
  return optim.learning_rate * SCALINGS[optim.learning_rate_scaling](batch_size)


def _scale_by_rate(optim: Optim, schedule: optax.Schedule,
                   batch_size: int) -> optax.GradientTransformation:
  """Multiplies updates by minus the learning rate of each path.

  The state is that of `optax.scale_by_learning_rate`.
  """
  multipliers = optim.multipliers or {}
  if not multipliers and not optim.constant:
    return optax.scale_by_learning_rate(schedule)
  names, peak = {*multipliers, *optim.constant}, _peak(optim, batch_size)

  def init(params):
    known = {part for path in _paths(params) for part in path}
    for name in sorted(names - known):
      raise errors.UserError(
          f'config.optim.multipliers or config.optim.constant names {name!r}, but this '
          f'run trains no module of that name{errors.suggestion(name, known)}')
    return optax.ScaleByScheduleState(jnp.zeros((), jnp.int32))

  def update(updates, state, params=None):
    del params
    now = schedule(state.count)

    def scale(path, update):
      path = set(_split(path))
      rate = peak if path & set(optim.constant) else now
      factor = math.prod(f for name, f in multipliers.items() if name in path)
      return jnp.asarray(-rate * factor, update.dtype) * update
    return jax.tree_util.tree_map_with_path(scale, updates), optax.ScaleByScheduleState(
        optax.safe_increment(state.count))

  return optax.GradientTransformation(init, update)


def _lars(optim: Optim, rate: optax.GradientTransformation
          ) -> optax.GradientTransformation:
  """Builds LARS (You et al. 2017, arXiv:1708.03888) as in google-research/simclr.

  The trust ratio is not applied to normalisation parameters, biases and the supervised
  head. The learning rate is applied before the momentum, and the kernel of the head
  decays.
  """
  return optax.chain(
      _l2(optim),
      optax.masked(
          norms.scale_by_trust_ratio(optim.trust_coefficient), _mask(_adapts)),
      rate, optax.trace(optim.momentum))


def _sgd(optim: Optim, rate: optax.GradientTransformation
         ) -> optax.GradientTransformation:
  return optax.chain(_l2(optim), optax.chain(
      optax.trace(optim.momentum, nesterov=optim.nesterov), rate))


def _adam(optim: Optim, rate: optax.GradientTransformation
          ) -> optax.GradientTransformation:
  return optax.chain(_l2(optim),
                     optax.chain(optax.scale_by_adam(*optim.betas), rate))


def _adamw(optim: Optim, rate: optax.GradientTransformation
           ) -> optax.GradientTransformation:
  return optax.chain(optax.scale_by_adam(*optim.betas), _l2(optim), rate)


def _l2(optim: Optim) -> optax.GradientTransformation:
  return optax.add_decayed_weights(
      optim.weight_decay, _mask(WEIGHT_DECAY_MASKS[optim.weight_decay_mask]))


_OPTIMIZERS = {'lars': _lars, 'sgd': _sgd, 'adam': _adam, 'adamw': _adamw}


def _mask(chosen: Callable[[list[str]], bool]) -> Callable[[Tree], Tree]:
  """Returns a function from a tree of parameters to booleans, chosen by path."""
  return lambda params: jax.tree_util.tree_map_with_path(
      lambda path, _: chosen(_split(path)), params)


def _split(path: Any) -> list[str]:
  """Splits a key path of JAX into names: ['encoder', 'stem', 'conv1', 'kernel']."""
  return jax.tree_util.keystr(path, simple=True, separator='/').split('/')


def _paths(params: Tree) -> list[list[str]]:
  return [_split(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def _is_norm(path: list[str]) -> bool:
  """Returns whether the module is named like 'bn1', 'bn_reduce' or 'BatchNorm_0'."""
  module = path[-2].lower() if len(path) > 1 else ''
  return module.startswith('bn') or 'norm' in module


def _is_bias(path: list[str]) -> bool:
  return path[-1] in _BIASES


def _adapts(path: list[str]) -> bool:
  return not (_is_norm(path) or _is_bias(path) or path[0] == 'head')
