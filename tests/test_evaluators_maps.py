"""Tests the 2-D maps: PCA against singular vectors, t-SNE by separated groups."""

import numpy as np
import pytest

from ssl_jax.evaluators import maps


def test_pca_keeps_the_distances_of_points_in_a_plane():
  rng = np.random.default_rng(0)
  flat = rng.normal(size=(20, 2))
  axes, _ = np.linalg.qr(rng.normal(size=(7, 2)))
  found = maps.pca(3 + flat @ axes.T)
  distances = lambda x: np.linalg.norm(x[:, None] - x[None], axis=2)
  np.testing.assert_allclose(distances(found), distances(flat), atol=1e-5)
  assert found[:, 0].var() >= found[:, 1].var()


def test_pca_does_not_depend_on_the_order_of_points_and_fills_with_zeros():
  x = np.random.default_rng(0).normal(size=(12, 4))
  np.testing.assert_allclose(maps.pca(x[::-1])[::-1], maps.pca(x), atol=1e-5)
  line = np.outer(np.arange(5.), [1., 2.])
  assert np.abs(maps.pca(line)[:, 1]).max() < 1e-5
  assert maps.pca(line, 3).shape == (5, 3) and not maps.pca(line, 3)[:, 2].any()


def test_tsne_separates_groups_and_can_be_repeated():
  pytest.importorskip('openTSNE', reason='openTSNE is the extra `report`')
  assert maps.has_tsne()
  rng = np.random.default_rng(0)
  centers = 8 * np.eye(3).repeat(10, 0)
  x = centers + rng.normal(size=centers.shape)
  found = maps.tsne(x)
  distance = np.linalg.norm(found[:, None] - found[None], axis=2)
  np.fill_diagonal(distance, np.inf)
  assert found.shape == (30, 2)
  assert (distance.argmin(1) // 10 == np.arange(30) // 10).all()
  np.testing.assert_array_equal(maps.tsne(x), found)
