"""Trains linear probes on cached features, all settings of a grid at once.

The protocol is SimCLR's linear evaluation (Chen et al., 2020, appendix B) without
augmentation. The encoder is frozen by construction: only its features are used.
"""

import dataclasses
import functools
import itertools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from ssl_jax import config
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import scores, selection

Params = dict[str, jax.Array]
_LOG_SECONDS = 30.0  # shortest time between two lines of progress in the log


class Head(NamedTuple):
  """A linear classifier, `features @ kernel + bias`, of the encoder's features.

  Attributes:
    kernel: float32 [D, C].
    bias: float32 [C].
  """
  kernel: np.ndarray
  bias: np.ndarray

  def __call__(self, features: np.ndarray) -> np.ndarray:
    return features @ self.kernel + self.bias


def unstandardise(kernel: np.ndarray, bias: np.ndarray, mean: np.ndarray,
                  scale: np.ndarray) -> Head:
  """Converts a head on standardised features to one on the encoder's features.

  Args:
    kernel: [D, C], for features (x - mean) / scale.
    bias: [C].
    mean: [D].
    scale: [D].

  Returns:
    The head that gives the same logits for x.
  """
  kernel = kernel / scale[:, None]
  return Head(kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32))


@dataclasses.dataclass(frozen=True)
class Linear:
  """Multinomial logistic regression by SGD, the best of a grid of settings.

  The grid has every pair of a learning rate and a weight decay. SGD uses Nesterov
  momentum and a cosine decay of the learning rate to 0. All weights start at 0, and
  images are not augmented. All heads are trained together on the same batches, and
  the head of one setting does not depend on the other settings. The head with the best
  validation score is scored on the test split, once. If several are equal, the lowest
  learning rate is taken, then the lowest weight decay. Nothing is chosen on the test
  split, so a grid of several settings needs a validation split.
  """
  learning_rates: tuple[float, ...] = config.field(
      (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1., 3.), above=0, nonempty=True,
      doc='Learning rates at the start of the cosine, not scaled by the batch size')
  weight_decays: tuple[float, ...] = config.field(
      (0., 1e-4, 1e-3, 1e-2, 1e-1), low=0, nonempty=True,
      doc='Strengths of the L2 penalty on the kernel, not on the bias')
  epochs: int = config.field(30, low=1, doc='Passes over the training images')
  min_steps: int = config.field(
      2000, low=0, doc='Least number of steps, so that few labels are trained on as '
      'long as many')
  batch_size: int = config.field(
      512, low=1, doc='Images in a batch, drawn without replacement within an epoch')
  momentum: float = config.field(0.9, low=0, below=1, doc='Nesterov momentum')
  standardise: bool = config.field(
      True, doc='Whether every feature is scaled to mean 0 and deviation 1 on the '
      'training images')
  refit: bool = config.field(
      False, doc='Whether the chosen setting is trained again on training and '
      'validation images, for the test score alone')
  score: str = config.field(
      'top1', choices=scores.HEADLINES,
      doc='Score on the validation images by which the head is chosen')
  seed: int = config.field(
      0, low=0, high=2**32 - 1, doc='Seed of the order of the images')

  def __post_init__(self):
    config.validate(self, 'protocol')

  @property
  def grid(self) -> list[tuple[float, float]]:
    """Returns the (learning rate, weight decay) of every head, preferred ones first."""
    return list(itertools.product(sorted(self.learning_rates),
                                  sorted(self.weight_decays)))

  def fit(self, train: features_lib.Features, num_classes: int,
          grid: list[tuple[float, float]]) -> list[Head]:
    """Trains one head for every setting of a grid, all at once.

    Args:
      train: features of labelled images.
      num_classes: C, the number of classes of the task.
      grid: (learning rate, weight decay) of each head.

    Returns:
      The heads, in the order of `grid`.
    """
    x, y = train.features, train.labels
    mean, scale = (features_lib.moments(x) if self.standardise else
                   (np.zeros_like(x[0]), np.ones_like(x[0])))
    settings = tuple(jnp.asarray(grid, jnp.float32).T)
    shape = (len(grid), x.shape[1], num_classes)
    params = {'kernel': jnp.zeros(shape), 'bias': jnp.zeros((shape[0], shape[2]))}
    order = self.order(len(y))
    blocks, steps = order.shape[:2]
    schedule = dict(steps=blocks * steps, momentum=self.momentum)
    state = _init(params, settings, **schedule)
    data = tuple(jnp.asarray(a) for a in (x, y, mean, scale))
    logged = time.monotonic()
    for i, indices in enumerate(order):
      params, state, loss = _train(params, state, settings, data, indices, **schedule)
      loss = np.asarray(loss)  # waits for the device, so that the time below is right
      if time.monotonic() - logged >= _LOG_SECONDS:
        logged = time.monotonic()
        logging.info('linear probe: %s of %s steps, training loss %.3f with the best '
                     'of %d settings', f'{(i + 1) * steps:,}', f'{blocks * steps:,}',
                     np.nanmin(loss), len(grid))
    params = jax.tree.map(np.asarray, params)
    return [unstandardise(kernel, bias, mean, scale) for kernel, bias in
            zip(params['kernel'], params['bias'], strict=True)]

  def order(self, n: int) -> np.ndarray:
    """Returns the indices of `n` images in the order of training.

    Every epoch has another order. The shape is int32 [blocks, steps, batch]: the
    device runs one block of steps at a time.
    """
    batch = min(self.batch_size, n)
    steps = max(-(-self.epochs * n // batch), self.min_steps)
    blocks = -(-steps // 1000)
    steps = -(-steps // blocks)
    length = blocks * steps * batch
    rng = np.random.default_rng(self.seed)
    epochs = [rng.permutation(n).astype(np.int32) for _ in range(-(-length // n))]
    return np.concatenate(epochs)[:length].reshape(blocks, steps, batch)

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    train, validation, test = (
        split and split.labelled(num_classes) for split in (train, validation, test))
    settings = [{'learning_rate': rate, 'weight_decay': decay}
                for rate, decay in self.grid]

    def fit(data, settings):
      grid = [(one['learning_rate'], one['weight_decay']) for one in settings]
      return [selection.Fitted(head, {}) for head in self.fit(data, num_classes, grid)]

    return selection.search(
        'linear probe', 'linear probe on cached features, SGD', settings, fit,
        train=train, validation=validation, test=test, score=self.score,
        refit=self.refit)


def _sgd(setting, steps: int, momentum: float) -> optax.GradientTransformation:
  """Returns SGD as PyTorch defines it.

  The weight decay is added to the gradient before the momentum.
  """
  rate, decay = setting
  cosine = optax.cosine_decay_schedule(1., steps)
  return optax.chain(
      optax.add_decayed_weights(decay, mask={'kernel': True, 'bias': False}),
      optax.sgd(lambda step: rate * cosine(step), momentum, nesterov=True))


@functools.partial(jax.jit, static_argnames=('steps', 'momentum'))
def _init(params, settings, *, steps, momentum):
  """Returns the optimizer states of all heads."""
  return jax.vmap(lambda p, s: _sgd(s, steps, momentum).init(p))(params, settings)


@functools.partial(jax.jit, static_argnames=('steps', 'momentum'),
                   donate_argnums=(0, 1))
def _train(params, state, settings, data, order, *, steps, momentum):
  """Trains all heads on the images `order` [steps, batch]; also returns mean losses."""
  x, y, mean, scale = data

  def one_head(params, state, setting):
    optimizer = _sgd(setting, steps, momentum)

    def step(carry, indices):
      params, state = carry
      # All heads share the batch, so vmap combines their products into one matmul.
      batch = (x[indices] - mean[None]) / scale[None]
      loss, gradient = jax.value_and_grad(cross_entropy)(params, batch, y[indices])
      updates, state = optimizer.update(gradient, state, params)
      return (optax.apply_updates(params, updates), state), loss

    (params, state), losses = jax.lax.scan(step, (params, state), order)
    return params, state, losses.mean()

  return jax.vmap(one_head)(params, state, settings)


def cross_entropy(params: Params, x: jax.Array, labels: jax.Array) -> jax.Array:
  """Computes the mean softmax cross-entropy of a linear head, in nats.

  Args:
    params: 'kernel' [D, C] and 'bias' [C].
    x: features [B, D].
    labels: int [B], in [0, C).
  """
  logits = jnp.matmul(x, params['kernel'], precision=jax.lax.Precision.HIGHEST)
  return optax.softmax_cross_entropy_with_integer_labels(
      logits + params['bias'][None], labels).mean()
