"""The network's own classifier, where it has one: a supervised run, a probe."""

import dataclasses
from typing import Any

from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import scores


@dataclasses.dataclass(frozen=True)
class Classifier:
  """Scores 'features' that are class scores already: endpoint 'logits'."""

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    return {'protocol': "the network's own classifier", 'chosen': {},
            **scores.score_splits(
                lambda logits: logits, train=train.labelled(num_classes),
                validation=validation and validation.labelled(num_classes),
                test=test.labelled(num_classes))}
