"""Tests the loss of Barlow Twins against the paper's equations in NumPy."""

import jax
import numpy as np
import pytest

from ssl_jax.objectives import cross_correlation


def embeddings(n=12, d=5):
  """Returns projections [2n, d] of views that agree in part."""
  rng = np.random.default_rng(0)
  images = np.repeat(rng.normal(size=(n, d)), 2, axis=0)
  return (3. + 2. * images + rng.normal(size=(2 * n, d))).astype(np.float32)


def by_the_equations(z, weight):
  """Computes equations 1 and 2 in float64, one pair of features at a time."""
  a, b = z[::2].astype(np.float64), z[1::2].astype(np.float64)
  loss = 0.
  for i in range(a.shape[1]):
    for j in range(a.shape[1]):
      c = np.corrcoef(a[:, i], b[:, j])[0, 1]
      loss += (1 - c)**2 if i == j else weight * c**2
  return loss


@pytest.mark.parametrize('weight', [0., 0.005, 1.])
def test_loss_by_the_equations(weight):
  z = embeddings()
  np.testing.assert_allclose(cross_correlation.barlow_twins(z, weight),
                             by_the_equations(z, weight), rtol=1e-4)


def test_gradient_by_finite_differences():
  z, direction = embeddings(), np.random.default_rng(1).normal(size=(24, 5))
  gradient = jax.grad(cross_correlation.barlow_twins)(z, 0.5)
  up, down = (by_the_equations(z + s * direction, 0.5) for s in (1e-5, -1e-5))
  np.testing.assert_allclose((gradient * direction).sum(), (up - down) / 2e-5,
                             rtol=1e-3)


def test_collapsed_projections_have_a_finite_loss_and_gradient():
  z = np.ones((8, 5), np.float32)
  loss, gradient = jax.value_and_grad(cross_correlation.barlow_twins)(z, 0.005)
  np.testing.assert_allclose(loss, 5.)
  assert np.isfinite(gradient).all()


def test_the_loss_is_not_a_mean_over_parts_of_the_batch():
  z = embeddings()
  whole = cross_correlation.barlow_twins(z, 0.005)
  parts = [cross_correlation.barlow_twins(x, 0.005) for x in np.split(z, 2)]
  assert abs(whole - np.mean(parts)) > 1e-3
