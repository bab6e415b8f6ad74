"""Tests SIGReg against the statistic of Epps and Pulley in NumPy, and on Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ssl_jax.objectives import sketched_gaussian
from ssl_jax.parallel import mesh as mesh_lib

sigreg = jax.jit(sketched_gaussian.sigreg)


def by_hand(z, towards):
  t = np.linspace(-5, 5, 17)
  values = []
  for direction in towards.T:
    phi = np.exp(1j * np.outer(z @ direction, t)).mean(0)
    error = np.abs(phi - np.exp(-t**2 / 2))**2 * np.exp(-t**2 / 2)
    values.append(len(z) * ((error[1:] + error[:-1]) / 2 * np.diff(t)).sum())
  return np.mean(values)


def test_statistic_by_hand():
  z = np.random.default_rng(0).gamma(2, size=(12, 4))
  towards = sketched_gaussian.directions(jax.random.key(0), 4, 6)
  np.testing.assert_allclose(jnp.square(towards).sum(0), 1, rtol=1e-5)
  np.testing.assert_allclose(
      sigreg(jnp.asarray(z, jnp.float32), towards),
      by_hand(z, np.asarray(towards, np.float64)), rtol=1e-4)


def test_a_gaussian_has_the_smallest_value():
  quantiles = scipy.stats.norm.ppf((np.arange(512) + 0.5) / 512)[:, None]
  axis = jnp.ones((1, 1))
  value = lambda x: float(sigreg(jnp.asarray(x, jnp.float32), axis))
  assert value(quantiles) < 0.01
  for other in (0 * quantiles, quantiles + 1, 2 * quantiles, np.sign(quantiles)):
    assert value(other) > 10


def test_invariance_by_hand():
  z = np.random.default_rng(0).normal(size=(5, 3, 4))
  got = sketched_gaussian.invariance(jnp.asarray(z.reshape(15, 4), jnp.float32), 3)
  np.testing.assert_allclose(got, np.square(z - z.mean(1, keepdims=True)).mean(),
                             rtol=1e-5)


@pytest.mark.parametrize('devices', [2, 8])
def test_value_and_gradient_of_several_devices(devices):
  rows = mesh_lib.sharded(mesh_lib.data_mesh(jax.devices()[:devices]))
  z = jnp.asarray(np.random.default_rng(0).normal(size=(16, 4)), jnp.float32)
  towards = sketched_gaussian.directions(jax.random.key(0), 4, 6)
  f = jax.jit(jax.value_and_grad(sketched_gaussian.sigreg))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
               f(jax.device_put(z, rows), towards), f(z, towards))
