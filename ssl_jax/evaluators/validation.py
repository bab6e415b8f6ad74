"""Measures without labels, on validation images, whether an encoder is learning."""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import jax
import numpy as np

from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import representation
from ssl_jax.methods import base

Metrics = dict[str, float]
_COLLAPSED_RANK = 2.0        # directions
_COLLAPSED_DEVIATION = 0.01  # it is 1 for directions that are uniformly distributed


@dataclasses.dataclass(frozen=True)
class Validation:
  """Measures the features and the loss of a method.

  A call with all variables of the method returns these numbers:

  * 'validation/effective_rank': the number of directions in which features vary; see
    `representation.effective_rank`;
  * 'validation/rank_fraction': the same, divided by the most that N images and D
    features allow, min(N - 1, D);
  * 'validation/feature_deviation': the standard deviation of each feature of unit
    vectors, averaged over features and multiplied by sqrt(D), in [0, 1];
  * 'validation/uniformity': see `representation.uniformity`;
  * 'validation/loss': the loss of the method, averaged over batches, as the training
    computes it but for the update. BatchNorm normalises by the batch;
  * 'validation/alignment': see `representation.alignment`, of the first two views.

  The last two need a whole batch, and alignment needs two views of an image.

  Attributes:
    method: the method.
    images: returns batches of all validation images.
    batches: returns batches of the size of the training, without padding; None if there
      are too few images.
    endpoint: name of the endpoint that is measured.
    pool: how a feature map becomes a vector; see `models.pooling.pooled`.
  """
  method: base.Method
  images: Callable[[], Iterable[base.Batch]]
  batches: Callable[[], Iterable[base.Batch]] | None
  endpoint: str = 'pooled'
  pool: str | int = 'mean'

  def __call__(self, variables: base.Variables) -> Metrics:
    features = features_lib.extract(
        self.method.encode, self.method.encoder_variables(variables), self.images(),
        self.endpoint, self.pool).features
    found = measure(features)
    if self.batches is not None:
      found |= self._with_views(variables)
    return {f'validation/{name}': value for name, value in found.items()}

  def _with_views(self, variables: base.Variables) -> Metrics:
    """Returns the loss and, if an image has two views, the alignment."""
    losses, distances = [], []
    for i, batch in enumerate(self.batches()):
      loss, pooled = _loss(self.method, variables, batch, np.int32(i))
      losses.append(float(loss))
      if pooled is not None and pooled.shape[1] > 1:
        views = np.asarray(pooled)
        distances.append(representation.alignment(views[:, 0], views[:, 1]))
    return {'loss': float(np.mean(losses)),
            **({'alignment': float(np.mean(distances))} if distances else {})}


def measure(features: np.ndarray) -> Metrics:
  """Measures how features [N, D] use their space; see `Validation`."""
  rank = representation.effective_rank(representation.spectrum(features))
  images, width = features.shape
  deviation = representation.unit(features).std(0).mean() * np.sqrt(width)
  return {'effective_rank': rank,
          'rank_fraction': rank / max(1, min(images - 1, width)),
          'feature_deviation': float(deviation),
          'uniformity': representation.uniformity(features)}


def warning(metrics: Metrics) -> str:
  """Returns a sentence if features have collapsed, and '' if they have not.

  Args:
    metrics: the result of a `Validation`.
  """
  rank = metrics['validation/effective_rank']
  deviation = metrics['validation/feature_deviation']
  if rank >= _COLLAPSED_RANK and deviation >= _COLLAPSED_DEVIATION:
    return ''
  return (f'The features have collapsed: they vary in {rank:.2f} directions, and their '
          f'deviation is {deviation:.2g} (1 is the largest). The encoder maps '
          'different images to almost the same features, so lower '
          'config.optim.learning_rate, or change the loss or the heads')


@functools.partial(jax.jit, static_argnums=0)
def _loss(method, variables, batch, step):
  """Returns the loss of a batch, and the pooled features of its views [B, V, D]."""
  views = method.views(jax.random.fold_in(jax.random.key(0), step), batch)
  loss, output = method.loss(variables.params, variables, views, batch['label'])
  pooled = output.endpoints.get('pooled')
  images = len(batch['label'])
  return loss, None if pooled is None else pooled.reshape(images, -1, pooled.shape[-1])
