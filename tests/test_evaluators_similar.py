"""Tests near-duplicates and outliers against NumPy on all pairs."""

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.evaluators import similar


@pytest.fixture(scope='module')
def features():
  """Draws more vectors than a block has; some are almost equal, or of other lengths."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(1300, 6))
  x[700:800] = 3 * x[100:200] + 0.01 * rng.normal(size=(100, 6))
  return x.astype(np.float32)


@pytest.fixture(scope='module')
def cosines(features):
  units = features.astype(float)
  units /= np.linalg.norm(units, axis=1, keepdims=True)
  return units @ units.T


def test_near_duplicates_are_all_pairs_above_the_limit(features, cosines):
  limit = 0.9987654  # No cosine is as close to it as a rounding error.
  found = similar.near_duplicates(features, limit)
  want = {(i, j) for i, j in np.argwhere(cosines >= limit).tolist() if i < j}
  assert {*zip(found.first.tolist(), found.second.tolist(), strict=True)} == want
  assert len(found.first) == len(want) >= 100
  np.testing.assert_allclose(found.similarity, cosines[found.first, found.second],
                             atol=1e-6)
  assert (np.diff(found.similarity) <= 0).all()
  assert len(similar.near_duplicates(features[:50], 1.).first) == 0


def test_outliers_are_the_least_similar_to_their_neighbours(features, cosines):
  np.fill_diagonal(others := cosines.copy(), -np.inf)
  means = np.sort(others, axis=1)[:, -5:].mean(1)
  chosen, values = similar.outliers(features, 20)
  np.testing.assert_array_equal(chosen, np.argsort(means)[:20])
  np.testing.assert_allclose(values, means[chosen], atol=1e-6)
  few, values = similar.outliers(features[:3], 9)
  assert len(few) == 3
  np.testing.assert_allclose(values[0], (cosines[:3, :3].sum(1).min() - 1) / 2,
                             atol=1e-6)


@pytest.mark.parametrize('call, sentence', [
    (lambda x: similar.near_duplicates(x, 98.), '0.98 suits most encoders'),
    (lambda x: similar.outliers(x, 0), 'use at least 1'),
    (lambda x: similar.outliers(x[:1], 3), 'give more images'),
    (lambda x: similar.outliers(0 * x, 3), 'image 0 is zero')])
def test_mistakes_are_reported(features, call, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    call(features[:10])
