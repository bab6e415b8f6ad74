"""Scores the network's own classifier, as supervised training and fine-tuning have."""

import dataclasses
from typing import Any, ClassVar

from ssl_jax import errors
from ssl_jax.evaluators import features as features_lib
from ssl_jax.evaluators import scores


@dataclasses.dataclass(frozen=True)
class OwnHead:
  """Evaluation of features that are class scores already: the endpoint 'logits'."""
  protocol: ClassVar[str] = "the network's own classifier"

  def __call__(self, train: features_lib.Features,
               validation: features_lib.Features | None,
               test: features_lib.Features, num_classes: int) -> dict[str, Any]:
    columns = test.features.shape[1]
    if columns != num_classes:
      raise errors.UserError(
          f'the data have {num_classes} classes, but each image has {columns} scores; '
          "set config.features.endpoint to 'logits', and use a network that was "
          'trained on these classes')
    return {'protocol': self.protocol, 'chosen': {},
            **scores.score_splits(
                lambda logits: logits, train=train.labelled(num_classes),
                validation=validation and validation.labelled(num_classes),
                test=test.labelled(num_classes))}
