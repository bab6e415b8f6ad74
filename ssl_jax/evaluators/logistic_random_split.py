"""Fits a logistic regression on a random part of the images of all splits.

This is the protocol of some SimCLR reports: the train, validation and test splits are
joined and split again at random. The encoder may have been pre-trained, without
labels, on most of the new test images. So the score measures how well a linear map
separates the classes in the representation; it is no test accuracy.
"""

import dataclasses
from typing import Any

import numpy as np

from ssl_jax import config
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import logistic, scores


@dataclasses.dataclass(frozen=True)
class LogisticRandomSplit:
  """Multinomial logistic regression on a random part of the images of all splits."""
  test_fraction: float = config.field(
      0.25, above=0, below=1,
      doc="Fraction that is held out; 0.25 leaves 45,000 of CIFAR-10's 60,000 images")
  l2: float = config.field(
      1.0, above=0, doc='Strength of the penalty; it is fixed, so nothing is chosen')
  standardise: bool = config.field(
      False, doc='Whether every feature is scaled to mean 0 and deviation 1')
  seed: int = config.field(0, low=0, high=2**32 - 1, doc='Seed of the split')

  def __post_init__(self):
    config.validate(self, 'protocol')

  def _logistic(self):
    return logistic.Logistic(
        l2=(self.l2,), standardise=self.standardise, refit=False)

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    everything = features_lib.concatenate(*(
        split.labelled(num_classes) for split in (train, validation, test) if split))
    order = np.random.default_rng(self.seed).permutation(len(everything.labels))
    held_out = max(1, round(self.test_fraction * len(order)))
    test, train = (features_lib.Features(everything.features[i], everything.labels[i])
                   for i in (order[:held_out], order[held_out:]))
    (head, _), = self._logistic().fit(train, num_classes, [self.l2])
    return {
        'protocol': f'logistic regression on {len(order)} representations of all '
                    f'splits, {held_out} of them held out at random, l2 {self.l2:g}',
        'chosen': {},
        **scores.score_splits(head, train=train, test=test), 'validation': None}
