"""Classifies cached features by a weighted vote of their k nearest neighbours (kNN).

The protocol is that of Wu et al., "Unsupervised feature learning via non-parametric
instance discrimination" (2018), section 3.4: the k nearest training images vote for
their class with weight exp(similarity / T). Nothing is trained.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from ssl_jax import config, errors
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import scores

METRICS = ('cosine', 'euclidean')


def predict(train_features: np.ndarray, train_labels: np.ndarray,
            queries: np.ndarray, *, num_classes: int, k: int = 200,
            temperature: float = 0.1, metric: str = 'cosine', chunk: int = 1024,
            exclude_self: bool = False) -> np.ndarray:
  """Returns the votes of the k nearest neighbours for every class, float64 [M, C].

  With the metric 'cosine', queries and bank are l2-normalised. With 'euclidean',
  features are not changed and the similarity is minus half the squared distance. For
  unit vectors that is the cosine minus 1, so the two metrics agree. The weights are
  exp((similarity - largest similarity) / T), which scales all votes of a query by one
  factor and cannot overflow. k = 200 with T = 0.1 is the protocol of MoCo's CIFAR
  demo and of lightly. Wu et al. use T = 0.07, and SimSiam's code uses 0.2.

  Among equally near neighbours, those with lower class ids are taken first, and
  the argmax of equal votes is the lowest class id. So the result does not depend on
  the order of the bank.

  Args:
    train_features: float32 [N, D], the bank. Images with the label -1 are left out.
    train_labels: int [N].
    queries: float32 [M, D], the features to classify.
    num_classes: C, the number of classes of the task, even if some do not occur.
    k: number of neighbours that vote. All images vote if the bank has fewer.
    temperature: T of the weights.
    metric: 'cosine' or 'euclidean'.
    chunk: number of queries that are compared at once. The device holds the bank and
      similarities [chunk, N].
    exclude_self: whether the queries are the images of the bank, in the same order;
      no image then votes for itself.

  Returns:
    float64 [M, C]; the vote is 0 for a class that no neighbour has.

  Raises:
    errors.UserError: the metric is unknown, or no image has a vote.
  """
  errors.lookup('config.protocol.metric', metric, dict.fromkeys(METRICS))
  # The bank is sorted by label, because top_k returns the earlier of two equal values.
  indices = np.argsort(train_labels, kind='stable')
  indices = indices[train_labels[indices] != features_lib.UNLABELLED]
  k = min(k, len(indices) - exclude_self)
  if k < 1:
    raise errors.UserError('the bank of labelled neighbours is empty')
  labels, bank = train_labels[indices], train_features[indices]
  if metric == 'cosine':
    bank, queries = _normalise(bank), _normalise(queries)
  else:
    # A shift does not change distances, but large means would cause cancellation.
    mean = bank.mean(0, keepdims=True)
    bank, queries = bank - mean, queries - mean
  votes = np.empty((len(queries), num_classes))
  bank, indices = jnp.asarray(bank), jnp.asarray(indices, jnp.int32)
  for start in range(0, len(queries), chunk):
    block = queries[start:start + chunk]
    n = len(block)
    block = np.pad(block, ((0, min(chunk, len(queries)) - n), (0, 0)))
    own = np.arange(start, start + len(block)) if exclude_self else None
    nearest = _nearest(bank, indices, block, own, k=k, metric=metric)
    similarity, index = (np.asarray(x)[:n] for x in nearest)
    weight = np.exp((similarity - similarity[:, :1]).astype(np.float64) / temperature)
    # The host adds the votes: a scatter-add on a GPU sums in a different order each
    # time.
    flat = np.arange(n)[:, None] * num_classes + labels[index]
    votes[start:start + n] = np.bincount(
        flat.ravel(), weight.ravel(), n * num_classes).reshape(n, num_classes)
  return votes


def _normalise(x: np.ndarray) -> np.ndarray:
  """Scales each row of [N, D] to unit length; a row of zeros is not changed."""
  return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@functools.partial(jax.jit, static_argnames=('k', 'metric'))
def _nearest(bank, indices, queries, own, *, k, metric):
  """Returns the k largest similarities and their positions in the bank, [chunk, k].

  The nearest neighbour comes first. `indices` [N] are the original indices of the
  bank. `own` [chunk] are those of the queries, which are excluded, or None.
  """
  similarity = jnp.matmul(queries, bank.T, precision=jax.lax.Precision.HIGHEST)
  if metric == 'euclidean':
    squares = [(x * x).sum(1) / 2 for x in (queries, bank)]
    similarity -= squares[0][:, None] + squares[1][None, :]
  if own is not None:
    similarity = jnp.where(own[:, None] == indices[None, :], -jnp.inf, similarity)
  return jax.lax.top_k(similarity, k)


@dataclasses.dataclass(frozen=True)
class Knn:
  """Weighted kNN with a fixed k and temperature; see `predict`.

  Only the training split is in the bank, for every split that is scored. A class that
  no neighbour has is not predicted, so top-5 equals top-1 if k = 1. With
  `score_train`, the training split is compared with itself, and no image votes for
  itself.
  """
  k: int = config.field(200, low=1, doc='Number of neighbours that vote')
  temperature: float = config.field(
      0.1, above=0, doc='T of the weights exp(similarity / T)')
  metric: str = config.field('cosine', choices=METRICS, doc='Measure of nearness')
  chunk: int = config.field(
      1024, low=1, doc='Number of images that are compared at once; memory depends '
      'on it, scores do not')
  score_train: bool = config.field(
      True, doc='Whether the training images are scored too')

  def __post_init__(self):
    config.validate(self, 'protocol')

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    images = np.count_nonzero(train.labels != features_lib.UNLABELLED)
    if self.k > images / num_classes:
      logging.warning(
          'config.protocol.k is %d, but a class has %.3g labelled training images on '
          'average, so most of the neighbours of an image are of other classes; try '
          '--config.protocol.k=%d', self.k, images / num_classes,
          max(1, min(20, images // num_classes // 2)))
    return self.measure(train, validation, test, num_classes)

  def measure(self, train: features_lib.Features,
              validation: features_lib.Features | None,
              test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    """Scores the splits as a call does, but does not warn if k is too large.

    Args:
      train: the bank.
      validation: features of the validation split, or None.
      test: features of the test split.
      num_classes: number of classes of the task.

    Returns:
      The result of an evaluator; see `ssl_jax.evaluators`.
    """
    train, validation, test = (
        split and split.labelled(num_classes) for split in (train, validation, test))

    def score(split, exclude_self=False):
      votes = predict(
          train.features, train.labels, split.features, num_classes=num_classes,
          k=self.k, temperature=self.temperature, metric=self.metric,
          chunk=self.chunk, exclude_self=exclude_self)
      return scores.score(np.where(votes > 0, votes, -np.inf), split.labels)

    return {
        'protocol': f'{self.k} nearest training images by {self.metric} similarity, '
                    f'weights exp(similarity / {self.temperature})',
        'chosen': {},
        'train': score(train, exclude_self=True) if self.score_train else None,
        'validation': validation and score(validation),
        'test': score(test),
    }


@dataclasses.dataclass(frozen=True)
class NearestNeighbour:
  """Classification by the nearest training image: kNN with k = 1."""
  metric: str = config.field('euclidean', choices=METRICS, doc='Measure of nearness')
  chunk: int = config.field(
      1024, low=1, doc='Number of images that are compared at once; memory depends '
      'on it, scores do not')
  score_train: bool = config.field(
      True, doc='Whether the training images are scored too')

  def __post_init__(self):
    config.validate(self, 'protocol')

  def _knn(self):
    return Knn(1, 1., self.metric, self.chunk, self.score_train)

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    result = self._knn().measure(train, validation, test, num_classes)
    return result | {'protocol': f'nearest training image by {self.metric} distance'}
