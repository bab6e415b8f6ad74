"""Tests kNN against scikit-learn and NumPy by hand, and its invariances."""

import re

import numpy as np
import pytest
from sklearn import neighbors

from ssl_jax import errors
from ssl_jax.evaluators import features, knn

RNG = np.random.default_rng(0)
BANK = RNG.normal(size=(90, 6)).astype(np.float32)
LABELS = RNG.integers(0, 5, 90).astype(np.int32)
QUERIES = RNG.normal(size=(33, 6)).astype(np.float32)


def predict(bank=BANK, labels=LABELS, queries=QUERIES, num_classes=5, **kwargs):
  return knn.predict(bank, labels, queries, num_classes=num_classes, **kwargs)


@pytest.mark.parametrize('metric', ['cosine', 'euclidean'])
@pytest.mark.parametrize('k', [1, 7, 90])
def test_agrees_with_scikit_learn(metric, k):
  # Cosine distance is 1 - similarity; for the Euclidean metric, minus half the square.
  similarity = {'cosine': lambda d: -d, 'euclidean': lambda d: -d**2 / 2}[metric]
  theirs = neighbors.KNeighborsClassifier(
      k, metric=metric, weights=lambda d: np.exp(similarity(d) / 0.3))
  want = theirs.fit(BANK, LABELS).predict_proba(QUERIES)
  votes = predict(k=k, temperature=0.3, metric=metric)
  np.testing.assert_allclose(votes / votes.sum(1, keepdims=True), want, atol=1e-5)


def test_votes_by_hand():
  bank = np.array([[1, 0], [0, 2], [3, 3], [-1, 0]], np.float32)
  votes = predict(bank, np.array([2, 0, 0, 1]), np.array([[5, 0]], np.float32),
                  num_classes=4, k=3, temperature=0.5)
  # Cosines 1, 0, 1/sqrt(2), -1; the largest is subtracted.
  want = [np.exp(-2) + np.exp((np.sqrt(.5) - 1) / .5), 0, 1, 0]
  np.testing.assert_allclose(votes, [want], rtol=1e-6)


@pytest.mark.parametrize('chunk', [1, 8, 33, 100])
def test_chunks_do_not_matter(chunk):
  np.testing.assert_allclose(predict(k=9, chunk=chunk), predict(k=9), rtol=1e-5)


def test_a_small_bank_votes_as_a_whole():
  np.testing.assert_array_equal(predict(k=1000), predict(k=90))


def test_a_low_temperature_does_not_overflow():
  votes = predict(k=20, temperature=1e-3)
  assert np.isfinite(votes).all()
  np.testing.assert_array_equal(votes.argmax(1), predict(k=1).argmax(1))


def test_equal_neighbours_and_votes_go_to_the_lowest_class():
  bank = np.ones((4, 2), np.float32)
  for labels in ([3, 1, 2, 1], [1, 2, 3, 1], [2, 1, 1, 3]):
    votes = predict(bank, np.array(labels), bank[:1], k=1)
    np.testing.assert_array_equal(votes, [[0, 1, 0, 0, 0]])
  votes = predict(bank, np.array([3, 1, 1, 3]), bank[:1], k=4)
  np.testing.assert_array_equal(votes, [[0, 2, 0, 2, 0]])
  assert votes.argmax() == 1


def test_order_of_the_bank_does_not_matter():
  order = np.random.default_rng(1).permutation(90)
  np.testing.assert_allclose(
      predict(BANK[order], LABELS[order], k=9), predict(k=9), rtol=1e-5)


def test_own_row_is_excluded():
  keep = ~np.eye(90, dtype=bool)
  got = predict(queries=BANK, k=5, exclude_self=True, chunk=16)
  for i in range(90):
    want = predict(BANK[keep[i]], LABELS[keep[i]], BANK[i:i + 1], k=5)
    np.testing.assert_allclose(got[i:i + 1], want, rtol=1e-5)


def test_own_row_is_found_beside_unlabelled_rows():
  labels = np.where(np.arange(90) % 3 == 0, -1, LABELS)
  known = labels >= 0
  got = predict(labels=labels, queries=BANK, k=4, exclude_self=True)[known]
  want = predict(BANK[known], labels[known], BANK[known], k=4, exclude_self=True)
  np.testing.assert_allclose(got, want, rtol=1e-5)


def test_unlabelled_rows_do_not_vote():
  labels = np.append(LABELS, [-1] * 33)
  bank = np.concatenate([BANK, QUERIES])
  np.testing.assert_allclose(predict(bank, labels, k=6), predict(k=6), rtol=1e-5)


def test_metrics_agree_on_unit_vectors():
  unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
  np.testing.assert_allclose(
      predict(unit(BANK), queries=unit(QUERIES), k=9, metric='euclidean'),
      predict(k=9, metric='cosine'), rtol=1e-4)


def test_euclidean_keeps_its_digits_far_from_the_origin():
  shift = np.float32(4096)
  bank, queries = (np.round(x * 64) / 64 for x in (BANK, QUERIES))
  np.testing.assert_allclose(
      predict(bank + shift, queries=queries + shift, k=9, metric='euclidean'),
      predict(bank, queries=queries, k=9, metric='euclidean'), rtol=1e-3)


def test_zero_features_do_not_become_nan():
  assert np.isfinite(predict(queries=np.zeros((2, 6), np.float32))).all()


def test_mistakes_are_named():
  with pytest.raises(errors.UserError, match="'manhattan'; accepted is 'cosine' or"):
    knn.Knn(metric='manhattan')
  with pytest.raises(errors.UserError, match='manhattan'):
    knn.NearestNeighbour(metric='manhattan')
  with pytest.raises(errors.UserError, match='config.protocol.k is 0'):
    knn.Knn(k=0)
  with pytest.raises(errors.UserError, match='config.protocol.temperature is 0'):
    knn.Knn(temperature=0.)
  with pytest.raises(errors.UserError, match='empty'):
    predict(labels=np.full(90, -1))


def test_nearest_is_one_nearest_neighbour():
  train = features.Features(BANK, LABELS)
  test = features.Features(QUERIES, LABELS[:33])
  result = knn.NearestNeighbour()(train, None, test, 5)
  theirs = neighbors.KNeighborsClassifier(1).fit(BANK, LABELS)
  assert result['test']['top1'] == theirs.score(QUERIES, LABELS[:33])
  # One neighbour has one class, so no other class can be among the top five.
  assert result['test']['top5'] == result['test']['top1']
  assert result['train']['top1'] < 0.6
  assert result['validation'] is None


def test_train_is_not_scored_where_not_asked():
  train = features.Features(BANK, LABELS)
  assert knn.Knn(k=3, score_train=False)(train, None, train, 5)['train'] is None


@pytest.mark.parametrize('k, warns', [(4, False), (5, True), (200, True)])
def test_more_neighbours_than_a_class_has_images_are_warned_of(caplog, k, warns):
  labels = np.repeat(np.arange(5), 4).astype(np.int32)
  bank = features.Features(np.eye(20, 5, dtype=np.float32), labels)
  knn.Knn(k=k)(bank, None, bank, 5)
  assert bool(caplog.records) == warns
  if warns:
    assert f'config.protocol.k is {k}, but a class has 4 labelled' in caplog.text
    remedy = int(re.search(r'try --config.protocol.k=(\d+)', caplog.text)[1])
    caplog.clear()
    knn.Knn(k=remedy)(bank, None, bank, 5)
    assert not caplog.records
