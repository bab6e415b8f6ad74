"""Tests VICReg's terms against the paper's equations in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.objectives import variance_covariance as vicreg
from ssl_jax.parallel import mesh as mesh_lib

TERMS = (vicreg.distance, vicreg.variance, vicreg.covariance)


@pytest.fixture
def z():
  """Returns projections [16, 5] of eight images with correlated features, float64."""
  rng = np.random.default_rng(0)
  return 0.7 * rng.normal(size=(16, 5)) @ rng.normal(size=(5, 5))


def by_hand(z):
  a, b = z[::2], z[1::2]
  deviations = [np.sqrt(x.var(0, ddof=1) + 1e-4) for x in (a, b)]
  covariances = [np.cov(x.T) for x in (a, b)]
  off = [np.square(c).sum() - np.square(np.diag(c)).sum() for c in covariances]
  return (np.square(a - b).mean(),
          np.mean([np.maximum(0, 1 - s).mean() for s in deviations]), sum(off) / 5)


def test_terms_by_the_equations(z):
  for term, expected in zip(TERMS, by_hand(z), strict=True):
    assert expected > 0.01
    np.testing.assert_allclose(term(jnp.asarray(z, jnp.float32)), expected, rtol=1e-4)


def test_closed_forms():
  collapsed = jnp.ones((8, 3))
  np.testing.assert_allclose([term(collapsed) for term in TERMS], [0, 0.99, 0],
                             atol=1e-6)
  axes = jnp.repeat(4 * jnp.eye(4) - 1, 2, axis=0)  # both views alike
  # Each feature has the sum of squares 9 + 3 over N - 1 = 3, and products of -4 / 3.
  np.testing.assert_allclose(vicreg.variance(axes), 0)
  np.testing.assert_allclose(vicreg.covariance(axes), 2 * 12 * (4 / 3)**2 / 4,
                             rtol=1e-5)


@pytest.mark.parametrize('devices', [2, 8])
def test_terms_and_gradients_of_several_devices(z, devices):
  rows = mesh_lib.sharded(mesh_lib.data_mesh(jax.devices()[:devices]))
  z = jnp.asarray(z, jnp.float32)
  f = jax.jit(jax.value_and_grad(lambda z: sum(term(z) for term in TERMS)))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
               f(jax.device_put(z, rows)), f(z))
