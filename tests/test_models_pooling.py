"""Tests pooling of feature maps against NumPy."""

import numpy as np

from ssl_jax.models import pooling


def test_pooling_against_numpy():
  x = np.random.default_rng(2).normal(size=(2, 4, 4, 3)).astype(np.float32)
  np.testing.assert_allclose(
      pooling.pooled(x, 'mean'), x.mean((1, 2)), atol=1e-6)
  np.testing.assert_array_equal(pooling.pooled(x, 'max'), x.max((1, 2)))
  np.testing.assert_array_equal(pooling.pooled(x, 'flatten'), x.reshape(2, -1))
  np.testing.assert_allclose(pooling.pooled(x, 1), x.mean((1, 2)), atol=1e-6)
  np.testing.assert_allclose(pooling.pooled(x, 4), x.reshape(2, -1), atol=1e-6)
  halves = x.reshape(2, 2, 2, 2, 2, 3).mean((2, 4))
  np.testing.assert_allclose(
      pooling.pooled(x, 2), halves.reshape(2, -1), atol=1e-6)


def test_adaptive_regions_overlap_where_sizes_do_not_divide():
  x = np.arange(7 * 5.).reshape(1, 7, 5, 1)
  got = np.asarray(pooling.pooled(x, 3)).reshape(3, 3)
  rows = [slice(0, 3), slice(2, 5), slice(4, 7)]    # ceil and floor of 7 i / 3
  columns = [slice(0, 2), slice(1, 4), slice(3, 5)]
  want = [[x[0, r, c, 0].mean() for c in columns] for r in rows]
  np.testing.assert_allclose(got, want, rtol=1e-6)
