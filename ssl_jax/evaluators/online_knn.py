"""Measures kNN accuracy on the validation split while an encoder is being trained."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import knn


@dataclasses.dataclass(frozen=True)
class OnlineKnn:
  """Classifies validation images by kNN among training images.

  A call with the variables of the encoder returns {'knn/top1': accuracy in [0, 1]}.
  The test split is not used.

  Attributes:
    encode: returns the endpoints of a batch; see `features.extract`.
    bank: returns batches of the training split.
    queries: returns batches of the validation split.
    num_classes: number of classes of the labels.
    k: number of neighbours that vote.
    endpoint: name of the endpoint that is compared.
    pool: how a feature map becomes a vector; see `models.pooling.pooled`.
  """
  encode: features_lib.Encode
  bank: Callable[[], Iterable[Any]]
  queries: Callable[[], Iterable[Any]]
  num_classes: int
  k: int = 20
  endpoint: str = 'pooled'
  pool: str | int = 'mean'

  def __call__(self, encoder: Any) -> dict[str, float]:
    bank, queries = (
        features_lib.extract(self.encode, encoder, batches(), self.endpoint, self.pool)
        for batches in (self.bank, self.queries))
    result = knn.Knn(k=self.k, score_train=False).measure(
        bank, None, queries, self.num_classes)
    return {'knn/top1': result['test']['top1']}
