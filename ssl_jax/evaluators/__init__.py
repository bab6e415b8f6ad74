"""Lists the evaluators of cached features by name.

An evaluator is a frozen dataclass of its settings. It is called as
`evaluate(train, validation, test, num_classes)` with one `features.Features` per
split; `validation` may be None if nothing is chosen on it. It returns a dictionary
that can be written as JSON:

* 'protocol': a description in words.
* 'chosen': the settings that were chosen on the validation split, by name.
* 'train', 'validation', 'test': the result of `scores.score` on that split, or None
  if the split was not scored.

The same arguments give the same result. Every process computes it on its own first
device.
"""

from ssl_jax.evaluators import (
    knn,
    linear,
    logistic,
    logistic_random_split,
    own_head,
    rotation,
)

EVALUATORS = {
    'own_head': own_head.OwnHead,
    'knn': knn.Knn,
    'linear': linear.Linear,
    'logistic': logistic.Logistic,
    'nn1': knn.NearestNeighbour,
    'logistic_random_split': logistic_random_split.LogisticRandomSplit,
    'rotation': rotation.Rotation,
}
