"""Logistic regression on the representations of all images, split anew.

The protocol of some SimCLR reports: train, validation and test split are put
together and cut again at random. The encoder may have been pre-trained, without
labels, on most of what is then called test, so the figure says how well a linear map
separates the classes in the representation and is no test accuracy.
"""

import dataclasses
from typing import Any

import numpy as np

from ssl_jax import errors
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import logistic, scores


@dataclasses.dataclass(frozen=True)
class Resplit:
  """Multinomial logistic regression on a random part of everything.

  Attributes:
    test_fraction: what is held out; 0.25 leaves 45,000 of CIFAR-10's 60,000.
    l2: strength of the penalty, see `logistic.Logistic`. Fixed, so nothing is chosen.
    standardise: see `logistic.Logistic`.
    seed: of the split.
  """
  test_fraction: float = 0.25
  l2: float = 1.0
  standardise: bool = False
  seed: int = 0

  def __post_init__(self):
    if not 0 < self.test_fraction < 1:
      raise errors.UserError(
          f'config.protocol.test_fraction is {self.test_fraction}; use a number '
          'between 0 and 1')
    self._logistic()

  def _logistic(self):
    return logistic.Logistic(
        l2=(self.l2,), standardise=self.standardise, refit=False)

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    everything = features_lib.concatenate(*(
        split.labelled(num_classes) for split in (train, validation, test) if split))
    rows = np.random.default_rng(self.seed).permutation(len(everything.labels))
    held_out = max(1, round(self.test_fraction * len(rows)))
    test, train = (features_lib.Features(everything.features[r], everything.labels[r])
                   for r in (rows[:held_out], rows[held_out:]))
    (head, _), = self._logistic().fit(train, num_classes, [self.l2])
    return {
        'protocol': f'logistic regression on {len(rows)} representations of all '
                    f'splits, {held_out} of them held out at random, l2 {self.l2:g}',
        'chosen': {},
        **scores.score_splits(head, train=train, test=test), 'validation': None}
