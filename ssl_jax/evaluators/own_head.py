"""The network's own classifier, where it has one: a supervised run, a probe."""

import dataclasses
from typing import Any, ClassVar

from ssl_jax import errors
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import scores


@dataclasses.dataclass(frozen=True)
class Classifier:
  """Scores 'features' that are class scores already: endpoint 'logits'."""
  protocol: ClassVar[str] = "the network's own classifier"

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    columns = test.features.shape[1]
    if columns != num_classes:
      raise errors.UserError(
          f'there are {num_classes} classes, but {columns} scores for an image; set '
          "config.features.endpoint to 'logits' of a network that was trained to "
          'tell these classes apart')
    return {'protocol': self.protocol, 'chosen': {},
            **scores.score_splits(
                lambda logits: logits, train=train.labelled(num_classes),
                validation=validation and validation.labelled(num_classes),
                test=test.labelled(num_classes))}
