"""Tests the alternatives to NT-Xent against loops over all triplets in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.objectives import pairwise
from ssl_jax.parallel import mesh as mesh_lib


def embeddings(rows=12, dim=5):
  return np.random.default_rng(0).normal(size=(rows, dim))


def by_hand(z, similarity, semi_hard, loss):
  """Returns the mean over views of the losses with their negatives."""
  if similarity == 'cosine':
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
  views = []
  for i in range(len(z)):
    positive = z[i] @ z[i ^ 1]
    negatives = [z[i] @ z[j] for j in range(len(z)) if j // 2 != i // 2]
    if semi_hard:
      negatives = sorted(s for s in negatives if s < positive)[-1:]
    views.append(loss(positive, negatives))
  return np.mean(views)


def logistic(positive, negatives):
  softplus = lambda x: math.log1p(math.exp(x))
  return softplus(-positive / 0.3) + (
      np.mean([softplus(s / 0.3) for s in negatives]) if negatives else 0)


def triplet(positive, negatives):
  return np.mean([max(s - positive + 0.4, 0) for s in negatives]) if negatives else 0


@pytest.mark.parametrize('semi_hard', [False, True])
@pytest.mark.parametrize('similarity', ['cosine', 'dot'])
def test_losses_by_hand(similarity, semi_hard):
  z = embeddings()
  options = {'similarity': similarity, 'semi_hard': semi_hard}
  got = jnp.asarray(z, jnp.float32)
  np.testing.assert_allclose(pairwise.nt_logistic(got, 0.3, **options),
                             by_hand(z, loss=logistic, **options), rtol=1e-5)
  np.testing.assert_allclose(pairwise.margin_triplet(got, 0.4, **options),
                             by_hand(z, loss=triplet, **options), rtol=1e-5)


def test_equal_embeddings_have_no_semi_hard_negative():
  ones = jnp.ones((8, 3))
  softplus = lambda x: math.log1p(math.exp(x))
  np.testing.assert_allclose(pairwise.nt_logistic(ones, 0.5, semi_hard=True),
                             softplus(-2), rtol=1e-5)
  np.testing.assert_allclose(pairwise.nt_logistic(ones, 0.5),
                             softplus(-2) + softplus(2), rtol=1e-5)
  assert pairwise.margin_triplet(ones, 0.4, semi_hard=True) == 0
  np.testing.assert_allclose(pairwise.margin_triplet(ones, 0.4), 0.4, rtol=1e-5)


def test_gradient_by_central_differences_and_on_several_devices():
  z = jnp.asarray(embeddings(32), jnp.float32)
  direction = jnp.asarray(np.random.default_rng(1).normal(size=z.shape), jnp.float32)
  f = jax.jit(jax.value_and_grad(lambda z: pairwise.nt_logistic(z, 0.3)
                                 + pairwise.margin_triplet(z, 0.4)))
  value, gradient = f(z)
  slope = (f(z + 1e-2 * direction)[0] - f(z - 1e-2 * direction)[0]) / 2e-2
  np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=2e-2)
  for devices in (2, 8):
    rows = mesh_lib.sharded(mesh_lib.data_mesh(jax.devices()[:devices]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
                 f(jax.device_put(z, rows)), (value, gradient))
