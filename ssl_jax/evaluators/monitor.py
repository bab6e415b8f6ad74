"""kNN accuracy while an encoder is being trained, on the validation split."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import knn


@dataclasses.dataclass(frozen=True)
class KnnMonitor:
  """Looks every validation image up among training images. Test is not touched."""
  encode: features_lib.Encode
  bank: Callable[[], Iterable[Any]]        # batches of the training split
  queries: Callable[[], Iterable[Any]]     # batches of the validation split
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
