"""Weighted k-nearest-neighbour classification of cached features.

After Wu et al., "Unsupervised feature learning via non-parametric instance
discrimination" (2018), section 3.4: the k nearest training images vote for their
class with weight exp(similarity / T). Nothing is trained.
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
  """Votes of the k nearest neighbours for every class.

  With metric 'cosine' both sides are l2-normalised. With 'euclidean' features are
  used as they are and the similarity is minus half the squared distance, which for
  unit vectors is the cosine minus 1: both metrics then agree. The weights are
  exp((similarity - largest) / T), which scales a query's votes but cannot overflow.
  k = 200 with T = 0.1 is the protocol of MoCo's CIFAR demo and of lightly; Wu et
  al. use T = 0.07, SimSiam's code 0.2.

  Equally near neighbours count in the order of their class id, and the argmax of
  equal votes is the lowest class id, so the order of the bank does not matter.

  Args:
    train_features: float32 [N, D], the bank; rows labelled -1 are left out.
    train_labels: int [N].
    queries: float32 [M, D].
    num_classes: C, of the task and not of the labels that happen to occur.
    k: neighbours that vote; a smaller bank votes as a whole.
    temperature: T.
    metric: 'cosine' or 'euclidean'.
    chunk: queries compared at once; the device holds the bank and [chunk, N].
    exclude_self: the queries are the rows of the bank; none votes for itself.

  Returns:
    float64 [M, C], 0 for a class that no neighbour has.

  Raises:
    errors.UserError: an unknown metric, or no neighbour to vote.
  """
  errors.lookup('config.protocol.metric', metric, dict.fromkeys(METRICS))
  # Sorted by label, because top_k returns the earlier of two equals.
  rows = np.argsort(train_labels, kind='stable')
  rows = rows[train_labels[rows] != features_lib.UNLABELLED]
  k = min(k, len(rows) - exclude_self)
  if k < 1:
    raise errors.UserError('the bank of labelled neighbours is empty')
  labels, bank = train_labels[rows], train_features[rows]
  if metric == 'cosine':
    bank, queries = _normalise(bank), _normalise(queries)
  else:
    # Distances do not notice, but large means would cost them their digits.
    mean = bank.mean(0, keepdims=True)
    bank, queries = bank - mean, queries - mean
  votes = np.empty((len(queries), num_classes))
  bank, rows = jnp.asarray(bank), jnp.asarray(rows, jnp.int32)
  for start in range(0, len(queries), chunk):
    block = queries[start:start + chunk]
    n = len(block)
    block = np.pad(block, ((0, min(chunk, len(queries)) - n), (0, 0)))
    own = np.arange(start, start + len(block)) if exclude_self else None
    nearest = _nearest(bank, rows, block, own, k=k, metric=metric)
    similarity, index = (np.asarray(x)[:n] for x in nearest)
    weight = np.exp((similarity - similarity[:, :1]).astype(np.float64) / temperature)
    # On the host: a scatter-add on a GPU would sum in a different order each time.
    cell = np.arange(n)[:, None] * num_classes + labels[index]
    votes[start:start + n] = np.bincount(
        cell.ravel(), weight.ravel(), n * num_classes).reshape(n, num_classes)
  return votes


def _normalise(x: np.ndarray) -> np.ndarray:
  """Unit rows; a row of zeros stays."""
  return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@functools.partial(jax.jit, static_argnames=('k', 'metric'))
def _nearest(bank, rows, queries, own, *, k, metric):
  """Similarities and bank indices [chunk, k], nearest first; `own` never."""
  similarity = jnp.matmul(queries, bank.T, precision=jax.lax.Precision.HIGHEST)
  if metric == 'euclidean':
    squares = [(x * x).sum(1) / 2 for x in (queries, bank)]
    similarity -= squares[0][:, None] + squares[1][None, :]
  if own is not None:
    similarity = jnp.where(own[:, None] == rows[None, :], -jnp.inf, similarity)
  return jax.lax.top_k(similarity, k)


@dataclasses.dataclass(frozen=True)
class Knn:
  """Weighted kNN with a fixed k and temperature; see `predict`.

  The bank is the training split alone, also for the test split. A class that no
  neighbour has is not proposed, so top-5 of k = 1 equals top-1. `score_train`
  compares the training split with itself, each image without its own vote.
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
    """Does what a call does, whatever k is."""
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
class Nearest:
  """The class of the nearest training image: k = 1, Euclidean unless said."""
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
