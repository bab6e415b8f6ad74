"""Lists the evaluators of cached features by name.

Each is a frozen dataclass of its settings, called as `evaluate(train, validation,
test, num_classes)` with one `features.Features` per split (validation may be None
where nothing is chosen). It returns what can be written as JSON: 'protocol' in
words, 'chosen' settings, and `scores.score` of 'train', 'validation' and 'test'
(None where not scored). The same arguments give the same result, which every
process computes for itself on its first device.
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
    'own_head': own_head.Classifier,
    'knn': knn.Knn,
    'linear': linear.Linear,
    'logistic': logistic.Logistic,
    'nn1': knn.Nearest,
    'logistic_random_split': logistic_random_split.Resplit,
    'rotation': rotation.Rotation,
}
