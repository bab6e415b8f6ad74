"""Computes accuracies and confusion matrices from class scores, with NumPy only."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ssl_jax import errors
from ssl_jax.evaluators import features as features_lib

# Keys of `score` by which a setting may be chosen, and which a report shows.
HEADLINES = ('top1', 'mean_per_class')


def score(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
  """Scores predictions and returns a dictionary that can be written as JSON.

  If scores are equal, the lowest class id ranks first, in top-1 and in top-5. A
  class with the score -inf is not predicted: it is never correct, even if fewer
  than five classes have a higher score.

  Args:
    scores: float [N, C], higher is more likely: logits, log-probabilities, votes.
    labels: int [N] in [0, C).

  Returns:
    'n', the number of images. 'top1', 'top5' (top-C for C < 5 classes) and
    'mean_per_class', fractions in [0, 1]. 'per_class', the recall of each class, or
    None for a class without images. 'confusion', counts [C][C], with the true class
    along the rows and the predicted class along the columns.

  Raises:
    errors.UserError: a score is NaN.
  """
  n, num_classes = scores.shape
  if np.isnan(scores).any():
    raise errors.UserError(
        'class scores are NaN, so this head diverged; lower its learning rate')
  own = scores[np.arange(n), labels][:, None]
  earlier = np.arange(num_classes)[None] < labels[:, None]
  rank = (scores > own).sum(1) + ((scores == own) & earlier).sum(1)
  proposed = own[:, 0] > -np.inf
  confusion = np.bincount(labels * num_classes + scores.argmax(1),
                          minlength=num_classes**2)
  confusion = confusion.reshape(num_classes, num_classes)
  count = confusion.sum(1)
  recall = confusion.diagonal() / np.maximum(count, 1)
  return {
      'n': n,
      'top1': float(np.mean((rank < 1) & proposed)),
      'top5': float(np.mean((rank < 5) & proposed)),
      'mean_per_class': float(recall[count > 0].mean()),
      'per_class': [float(r) if c else None
                    for r, c in zip(recall, count, strict=True)],
      'confusion': confusion.tolist(),
  }


def score_splits(
    scores_of: Callable[[np.ndarray], np.ndarray],
    **splits: features_lib.Features | None) -> dict[str, dict[str, Any] | None]:
  """Scores each split.

  Args:
    scores_of: maps features [N, D] to class scores [N, C].
    **splits: labelled features by split name; None for a split that is not scored.

  Returns:
    The result of `score`, or None, by split name.
  """
  return {name: None if split is None else score(scores_of(split.features),
                                                 split.labels)
          for name, split in splits.items()}
