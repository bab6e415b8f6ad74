"""Fits multinomial logistic regressions by L-BFGS, the linear probe for transfer.

The protocol is that of Kornblith et al., "Do better ImageNet models transfer better?"
(2019), and of SimCLR (Chen et al., 2020, appendix B): images are not augmented, the
best of 45 strengths of the l2 penalty between 1e-6 and 1e5 is chosen on the validation
split, and the classifier is then fitted on the training and validation splits.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from ssl_jax import config
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import linear, scores, selection


@dataclasses.dataclass(frozen=True)
class Logistic:
  """Minimises sum_i cross_entropy_i + l2 / 2 |kernel|^2; the bias has no penalty.

  This is scikit-learn's LogisticRegression with C = 1 / l2. The loss is a sum over
  images, so the same `l2` has less influence on more images. Features are
  used as the encoder returns them, which is the protocol, or standardised. Strengths
  are fitted from the largest to the smallest, and each fit starts from the solution of
  the previous one. The result is deterministic.
  """
  l2: tuple[float, ...] = config.field(
      tuple(np.logspace(-6, 5, 45).tolist()), above=0, nonempty=True,
      doc='Strengths of the penalty')
  standardise: bool = config.field(
      False, doc='Whether every feature is scaled to mean 0 and deviation 1 on what is '
      'fitted; the penalty then acts on the scaled kernel')
  refit: bool = config.field(
      True, doc='Whether the chosen strength is fitted again on training and '
      'validation images, for the test score')
  score: str = config.field(
      'top1', choices=scores.HEADLINES,
      doc='Score on the validation images by which the strength is chosen')
  tolerance: float = config.field(
      1e-5, above=0, doc='Largest entry of the gradient of the mean objective at which '
      'the search stops (for features whose overall variance is scaled to 1)')
  max_steps: int = config.field(1000, low=1, doc='Steps of L-BFGS for each strength')

  def __post_init__(self):
    config.validate(self, 'protocol')

  def fit(self, data: features_lib.Features, num_classes: int,
          l2: list[float]) -> list[tuple[linear.Head, int]]:
    """Fits one head for each strength of the penalty.

    Args:
      data: features of labelled images.
      num_classes: C, the number of classes of the task.
      l2: the strengths, in the order of fitting; each fit starts from the previous
        solution.

    Returns:
      The head and its number of L-BFGS steps, in the order of `l2`.
    """
    x = data.features
    mean, scale = features_lib.moments(x)
    if not self.standardise:
      # One factor for all features, which the penalty compensates, and a shift, which
      # the bias compensates, do not change the minimum and make it easier to reach.
      scale = np.full_like(scale, np.sqrt(np.mean(np.square(scale))))
    penalty = 1. if self.standardise else 1. / scale[0]**2
    x, y = jnp.asarray((x - mean) / scale), jnp.asarray(data.labels)
    # The first fit starts at the solution for an infinite penalty. A class without
    # images counts as half an image.
    count = np.maximum(np.bincount(data.labels, minlength=num_classes), 0.5)
    params = {'kernel': jnp.zeros((x.shape[1], num_classes)),
              'bias': jnp.asarray(np.log(count / len(y)), jnp.float32)}
    heads = []
    for i, strength in enumerate(l2):
      params, loss, steps = _minimise(
          params, x, y, jnp.float32(strength * penalty / len(y)), self.tolerance,
          self.max_steps)
      if (i + 1) % -(-len(l2) // 4) == 0 or i + 1 == len(l2):  # four lines at most
        logging.info('logistic regression: %d of %d, l2 %.3g, objective %.5f after %d '
                     'steps', i + 1, len(l2), strength, loss, steps)
      heads.append((linear.unstandardise(
          np.asarray(params['kernel']), np.asarray(params['bias']), mean, scale),
                    int(steps)))
    return heads

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    train, validation, test = (
        split and split.labelled(num_classes) for split in (train, validation, test))
    # Strongest first, so that the simplest of equal heads is chosen.
    settings = [{'l2': strength} for strength in sorted(self.l2, reverse=True)]

    def fit(data, settings):
      heads = self.fit(data, num_classes, [one['l2'] for one in settings])
      return [selection.Fitted(head, {'steps': steps}) for head, steps in heads]

    return selection.search(
        'logistic regression', 'l2 multinomial logistic regression, L-BFGS', settings,
        fit, train=train, validation=validation, test=test, score=self.score,
        refit=self.refit)


@functools.partial(jax.jit, donate_argnums=0)
def _minimise(params, x, y, penalty, tolerance, max_steps):
  """Minimises mean cross-entropy + penalty / 2 |kernel|^2 by L-BFGS from `params`."""
  def objective(params):
    return (linear.cross_entropy(params, x, y)
            + penalty / 2 * jnp.sum(jnp.square(params['kernel'])))

  optimizer = optax.lbfgs()
  value_and_grad = optax.value_and_grad_from_state(objective)

  def step(carry):
    params, state, stalls, i = carry
    value, gradient = value_and_grad(params, state=state)
    updates, state = optimizer.update(
        gradient, state, params, value=value, grad=gradient, value_fn=objective)
    params = optax.apply_updates(params, updates)
    # In float32 the objective may stop falling before its gradient is small, and the
    # line search may still find better points later, so one stall does not end it.
    stalls = jnp.where(optax.tree.get(state, 'value') < value, 0, stalls + 1)
    return params, state, stalls, i + 1

  def unfinished(carry):
    _, state, stalls, i = carry
    largest = optax.tree.norm(optax.tree.get(state, 'grad'), ord=jnp.inf)
    return (i == 0) | ((i < max_steps) & (stalls < 5) & (largest > tolerance))

  params, state, _, steps = jax.lax.while_loop(
      unfinished, step, (params, optimizer.init(params), 0, 0))
  return params, optax.tree.get(state, 'value'), steps
