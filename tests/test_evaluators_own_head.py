"""Tests that the scores of a network's own classifier are used unchanged."""

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.evaluators import features, own_head, rotation


@pytest.mark.parametrize('evaluator', [rotation.Rotation(), own_head.OwnHead()])
def test_features_that_are_no_scores_are_refused(evaluator):
  split = features.Features(np.zeros((4, 9), np.float32), np.zeros(4, np.int32))
  with pytest.raises(errors.UserError,
                     match='4 classes, but each image has 9 scores.*endpoint'):
    evaluator(split, None, split, 4)


def test_class_scores_of_the_network_are_evaluated():
  labels = np.array([0, 1, 2, 2, -1], np.int32)
  logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
  split = features.Features(logits, labels)
  result = own_head.OwnHead()(split, None, split, 3)
  assert result['test']['top1'] == 0.75 and result['test']['n'] == 4
  assert result['test']['per_class'] == [1, 1, 0.5]
  assert result['validation'] is None and result['chosen'] == {}
