"""Linear probe on cached features: a whole grid of heads trained at once.

SimCLR's linear evaluation (Chen et al., 2020, appendix B) without augmentation. The
encoder is frozen by construction: it is not here, only its features are.
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
_LOG_SECONDS = 30.0  # between two lines that say how far a fit is


class Head(NamedTuple):
  """Logits are `features @ kernel + bias`, of features as the encoder gives them.

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
  """The head on x that equals `kernel`, `bias` on (x - mean) / scale."""
  kernel = kernel / scale[:, None]
  return Head(kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32))


@dataclasses.dataclass(frozen=True)
class Linear:
  """Multinomial regression by SGD, the best of a learning-rate x decay grid.

  Nesterov momentum, cosine decay to 0, heads starting at 0, no augmentation. All
  heads see the same batches and train as one: the head for a setting does not
  depend on what else is in the grid. The head with the best validation score (of
  equals the lowest learning rate, then the lowest weight decay) is scored on the
  test split, once. Nothing is chosen on test: a grid needs a validation split.
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
    """(learning rate, weight decay) of every head, in the order of preference."""
    return list(itertools.product(sorted(self.learning_rates),
                                  sorted(self.weight_decays)))

  def fit(self, train: features_lib.Features, num_classes: int,
          grid: list[tuple[float, float]]) -> list[Head]:
    """Trains one head for every setting of `grid`, together."""
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
    told = time.monotonic()
    for i, rows in enumerate(order):
      params, state, loss = _train(params, state, settings, data, rows, **schedule)
      loss = np.asarray(loss)  # waits, so that the clock below tells the truth
      if time.monotonic() - told >= _LOG_SECONDS:
        told = time.monotonic()
        logging.info('linear probe: %s of %s steps, training loss %.3f with the best '
                     'of %d settings', f'{(i + 1) * steps:,}', f'{blocks * steps:,}',
                     np.nanmin(loss), len(grid))
    params = jax.tree.map(np.asarray, params)
    return [unstandardise(kernel, bias, mean, scale) for kernel, bias in
            zip(params['kernel'], params['bias'], strict=True)]

  def order(self, n: int) -> np.ndarray:
    """Returns the order of examples, int32 [blocks, steps, batch], new every epoch."""
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
  """SGD as torch defines it: the decay joins the gradient before the momentum."""
  rate, decay = setting
  cosine = optax.cosine_decay_schedule(1., steps)
  return optax.chain(
      optax.add_decayed_weights(decay, mask={'kernel': True, 'bias': False}),
      optax.sgd(lambda step: rate * cosine(step), momentum, nesterov=True))


@functools.partial(jax.jit, static_argnames=('steps', 'momentum'))
def _init(params, settings, *, steps, momentum):
  """Optimizer states of all heads."""
  return jax.vmap(lambda p, s: _sgd(s, steps, momentum).init(p))(params, settings)


@functools.partial(jax.jit, static_argnames=('steps', 'momentum'),
                   donate_argnums=(0, 1))
def _train(params, state, settings, data, order, *, steps, momentum):
  """All heads through the rows `order` [steps, batch], and their mean losses."""
  x, y, mean, scale = data

  def one_head(params, state, setting):
    optimizer = _sgd(setting, steps, momentum)

    def step(carry, rows):
      params, state = carry
      # The batch is no head's own, so vmap makes one matmul of all the heads'.
      batch = (x[rows] - mean[None]) / scale[None]
      loss, gradient = jax.value_and_grad(cross_entropy)(params, batch, y[rows])
      updates, state = optimizer.update(gradient, state, params)
      return (optax.apply_updates(params, updates), state), loss

    (params, state), losses = jax.lax.scan(step, (params, state), order)
    return params, state, losses.mean()

  return jax.vmap(one_head)(params, state, settings)


def cross_entropy(params: Params, x: jax.Array, labels: jax.Array) -> jax.Array:
  """Mean softmax cross-entropy of a linear head, in nats."""
  logits = jnp.matmul(x, params['kernel'], precision=jax.lax.Precision.HIGHEST)
  return optax.softmax_cross_entropy_with_integer_labels(
      logits + params['bias'][None], labels).mean()
