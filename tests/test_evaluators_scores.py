"""Tests accuracies against scikit-learn, and with ties, missing classes and NaN."""

import json

import numpy as np
import pytest
from sklearn import metrics

from ssl_jax import errors
from ssl_jax.evaluators import scores


def test_agrees_with_scikit_learn():
  rng = np.random.default_rng(0)
  logits, labels = rng.normal(size=(300, 8)), rng.integers(0, 8, 300)
  got, predicted = scores.score(logits, labels), logits.argmax(1)
  np.testing.assert_array_equal(
      got['confusion'], metrics.confusion_matrix(labels, predicted))
  assert got['top1'] == pytest.approx(metrics.accuracy_score(labels, predicted))
  assert got['top5'] == pytest.approx(
      metrics.top_k_accuracy_score(labels, logits, k=5))
  assert got['mean_per_class'] == pytest.approx(
      metrics.balanced_accuracy_score(labels, predicted))
  np.testing.assert_allclose(
      got['per_class'], metrics.recall_score(labels, predicted, average=None))
  assert got['n'] == 300
  assert json.loads(json.dumps(got)) == got


def test_confusion_has_the_true_class_along_the_rows():
  got = scores.score(np.array([[0., 1.]]), np.array([0]))
  assert got['confusion'] == [[0, 1], [0, 0]]


def test_ties_go_to_the_lowest_class():
  labels = np.arange(7)
  got = scores.score(np.zeros((7, 7)), labels)
  assert got['top1'] == pytest.approx(1 / 7)
  assert got['per_class'] == [1., 0., 0., 0., 0., 0., 0.]
  assert got['top5'] == pytest.approx(5 / 7)


def test_top5_of_few_classes_is_all_of_them():
  assert scores.score(np.eye(3), np.array([2, 0, 1]))['top5'] == 1.


def test_a_class_never_proposed_is_no_hit():
  votes = np.array([[-np.inf, 3., -np.inf], [1., -np.inf, -np.inf]])
  got = scores.score(votes, np.array([0, 0]))
  assert (got['top1'], got['top5']) == (0.5, 0.5)


def test_a_class_without_images_has_no_recall():
  got = scores.score(np.eye(3)[[0, 0, 2]], np.array([0, 2, 2]))
  assert got['per_class'] == [1., None, 0.5]
  assert got['mean_per_class'] == 0.75


def test_nan_is_refused():
  with pytest.raises(errors.UserError, match='diverged'):
    scores.score(np.array([[np.nan, 0.]]), np.array([0]))
