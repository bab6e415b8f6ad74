"""Tests SwAV's objective against the paper's algorithm in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.objectives import swapped_prediction
from ssl_jax.parallel import mesh as mesh_lib

sinkhorn = jax.jit(swapped_prediction.sinkhorn, static_argnums=(1, 2))


def scores(rows=16, prototypes=5, seed=0):
  return np.random.default_rng(seed).uniform(-1, 1, (rows, prototypes))


def by_hand(scores, epsilon, iterations):
  """Follows the pseudo-code of the paper's appendix A, with Q of shape [K, N]."""
  q = np.exp(scores / epsilon).T
  q /= q.sum()
  k, n = q.shape
  for _ in range(iterations):
    q *= (1 / k) / q.sum(1, keepdims=True)
    q *= (1 / n) / q.sum(0, keepdims=True)
  return (q / q.sum(0, keepdims=True)).T


@pytest.mark.parametrize('epsilon, iterations', [(0.05, 3), (0.5, 1)])
def test_codes_by_the_algorithm_of_the_paper(epsilon, iterations):
  got = sinkhorn(jnp.asarray(scores(), jnp.float32), epsilon, iterations)
  np.testing.assert_allclose(got, by_hand(scores(), epsilon, iterations), rtol=1e-4)


def test_many_iterations_use_all_prototypes_equally():
  got = np.asarray(swapped_prediction.sinkhorn(  # not compiled: it would be unrolled
      jnp.asarray(scores(), jnp.float32), 0.3, 60))
  np.testing.assert_allclose(got.sum(1), 1, rtol=1e-5)
  np.testing.assert_allclose(got.sum(0), 16 / 5, rtol=1e-3)


def test_earlier_embeddings_count_by_their_weight():
  batch, others = scores(), scores(7, seed=1)
  x, y = (jnp.asarray(a, jnp.float32) for a in (batch, others))
  np.testing.assert_allclose(sinkhorn(x, 0.1, 3, y, 0.), by_hand(batch, 0.1, 3),
                             rtol=1e-3)
  both = by_hand(np.concatenate([batch, others]), 0.1, 3)[:16]
  np.testing.assert_allclose(sinkhorn(x, 0.1, 3, y, 1.), both, rtol=1e-3)
  assert abs(both - by_hand(batch, 0.1, 3)).max() > 0.01


def test_cross_entropy_by_hand():
  codes, other = by_hand(scores(), 0.1, 3), scores(seed=2)
  p = np.exp(other / 0.2) / np.exp(other / 0.2).sum(1, keepdims=True)
  got = swapped_prediction.cross_entropy(
      *(jnp.asarray(x, jnp.float32) for x in (codes, other)), 0.2)
  np.testing.assert_allclose(got, -(codes * np.log(p)).sum(1).mean(), rtol=1e-5)


@pytest.mark.parametrize('devices', [2, 8])
def test_codes_of_several_devices(devices):
  rows = mesh_lib.sharded(mesh_lib.data_mesh(jax.devices()[:devices]))
  x = jnp.asarray(scores(), jnp.float32)
  np.testing.assert_allclose(sinkhorn(jax.device_put(x, rows), 0.05, 3),
                             sinkhorn(x, 0.05, 3), rtol=1e-4, atol=1e-7)
