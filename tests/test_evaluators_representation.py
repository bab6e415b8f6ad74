"""Tests the measures of a feature space against closed forms."""

import numpy as np
import pytest

from ssl_jax.evaluators import representation


def features(n=30, d=5, seed=0):
  return np.random.default_rng(seed).normal(size=(n, d))


def test_alignment_is_two_minus_twice_the_cosine():
  x, y = features(), features(seed=1)
  cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b)
             for a, b in zip(x, y, strict=True)]
  assert representation.alignment(x, y) == pytest.approx(2 - 2 * np.mean(cosines))
  assert representation.alignment(x, 3 * x) == pytest.approx(0)
  assert representation.alignment(x, -x) == pytest.approx(4)


def test_uniformity_of_known_points():
  assert representation.uniformity(np.ones((4, 3))) == pytest.approx(0)
  # The squared distances of the axes are 2, those of opposite ends 4.
  assert representation.uniformity(np.eye(3)) == pytest.approx(-4)
  cross = np.array([[1., 0], [-1, 0], [0, 1], [0, -1]])
  expected = np.log((2 * np.exp(-8) + 4 * np.exp(-4)) / 6)
  assert representation.uniformity(cross) == pytest.approx(expected)


@pytest.mark.parametrize('shape', [(30, 5), (5, 30)])
def test_spectrum_is_that_of_singular_values(shape):
  x = features(*shape)
  expected = np.linalg.svd(x - x.mean(0), compute_uv=False) / np.sqrt(len(x))
  np.testing.assert_allclose(representation.spectrum(x), expected, atol=1e-6)


def test_effective_rank_counts_equal_directions():
  assert representation.effective_rank(np.array([2., 2, 2, 0])) == pytest.approx(3)
  assert representation.effective_rank(np.zeros(4)) == 1
  assert representation.effective_rank(
      representation.spectrum(np.ones((9, 4)))) == pytest.approx(1)


def test_nearest_rows_by_cosine_similarity():
  bank, queries = features(), features(4, seed=1)
  rows, similarity = representation.nearest(bank, queries, 3)
  for query, found, values in zip(queries, rows, similarity, strict=True):
    cosines = bank @ query / np.linalg.norm(bank, axis=1) / np.linalg.norm(query)
    assert found.tolist() == np.argsort(-cosines)[:3].tolist()
    np.testing.assert_allclose(values, cosines[found])
