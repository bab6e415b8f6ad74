"""Tests BYOL's and SimSiam's losses against the papers' equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.objectives import alignment


@pytest.fixture
def rows():
  """Returns predictions and targets of five images, two views each, float64."""
  rng = np.random.default_rng(0)
  return rng.normal(size=(5, 2, 7)), 3 * rng.normal(size=(5, 2, 7))


def flat(x):
  return jnp.asarray(x.reshape(-1, x.shape[-1]), jnp.float32)


def test_byol_by_its_equation(rows):
  q, z = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in rows)
  expected = np.mean([np.square(q[i, 0] - z[i, 1]).sum()
                      + np.square(q[i, 1] - z[i, 0]).sum() for i in range(5)])
  got = alignment.normalized_regression(*map(flat, rows))
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_simsiam_by_its_equation(rows):
  def distance(p, z):
    return -np.sum(p / np.linalg.norm(p) * z / np.linalg.norm(z))
  p, z = rows
  expected = np.mean([distance(p[i, 0], z[i, 1]) / 2 + distance(p[i, 1], z[i, 0]) / 2
                      for i in range(5)])
  got = alignment.negative_cosine(*map(flat, rows))
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_squared_distance_by_its_equation(rows):
  x, t = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in rows)
  got = alignment.squared_distance(*map(flat, rows))
  np.testing.assert_allclose(got, np.square(x - t).sum(-1).mean(), rtol=1e-5)


@pytest.mark.parametrize('loss', [alignment.normalized_regression,
                                  alignment.negative_cosine,
                                  alignment.squared_distance])
def test_the_gradient_is_that_of_predictions_alone(loss, rows):
  p, z = map(flat, rows)
  gradient, of_targets = jax.grad(loss, argnums=(0, 1))(p, z)
  assert not of_targets.any()
  direction = np.random.default_rng(1).normal(size=p.shape).astype(np.float32)
  slope = (loss(p + 1e-2 * direction, z) - loss(p - 1e-2 * direction, z)) / 2e-2
  np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-2)


def test_ranges():
  views = jnp.array([[1., 0.], [2., 0.]])
  np.testing.assert_allclose(alignment.normalized_regression(views, views), 0)
  np.testing.assert_allclose(alignment.normalized_regression(views, -views), 8)
  np.testing.assert_allclose(alignment.negative_cosine(views, 5 * views), -1)


def test_spread_is_0_after_collapse_and_1_of_isotropic_rows():
  collapsed = jnp.arange(1., 7.)[:, None] * jnp.ones((1, 4))  # one direction
  np.testing.assert_allclose(alignment.spread(collapsed), 0, atol=1e-6)
  isotropic = jax.random.normal(jax.random.key(0), (2000, 32))
  np.testing.assert_allclose(alignment.spread(isotropic), 1, atol=0.01)
