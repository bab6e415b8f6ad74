"""Tests InfoNCE of two networks and of a queue against loops in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.objectives import info_nce
from ssl_jax.parallel import mesh as mesh_lib

T = 0.3
across_views = jax.jit(info_nce.across_views, static_argnums=2)
against_queue = jax.jit(info_nce.against_queue, static_argnums=3)


@pytest.fixture
def data():
  """Returns queries and keys [8, 5] and a queue [6, 5] of unit length, float64."""
  rng = np.random.default_rng(0)
  queue = rng.normal(size=(6, 5))
  return rng.normal(size=(8, 5)), rng.normal(size=(8, 5)), unit(queue)


def unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def f32(*arrays):
  return [jnp.asarray(x, jnp.float32) for x in arrays]


def cross_entropy(scores, positive):
  return math.log(sum(math.exp(s) for s in scores)) - scores[positive]


def test_across_views_by_the_algorithm_of_the_paper(data):
  q, k = unit(data[0]), unit(data[1])
  losses, hits = [], []
  for view in (0, 1):
    for i in range(4):
      scores = [q[2 * i + view] @ k[2 * j + 1 - view] / T for j in range(4)]
      losses.append(cross_entropy(scores, i))
      hits.append(np.argmax(scores) == i)
  loss, metrics = across_views(*f32(*data[:2]), T)
  np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
  np.testing.assert_allclose(metrics['contrastive_accuracy'], np.mean(hits))


def test_against_a_queue_by_hand(data):
  q, k, queue = unit(data[0]), unit(data[1]), data[2]
  losses, hits, entropies = [], [], []
  for i in range(8):
    scores = [q[i] @ k[i ^ 1] / T, *(q[i] @ row / T for row in queue)]
    losses.append(cross_entropy(scores, 0))
    hits.append(np.argmax(scores) == 0)
    p = np.exp(scores) / np.exp(scores).sum()
    entropies.append(-(p * np.log(p)).sum())
  loss, metrics = against_queue(*f32(*data), T)
  np.testing.assert_allclose(loss, np.mean(losses), rtol=1e-5)
  np.testing.assert_allclose(metrics['contrastive_accuracy'], np.mean(hits))
  np.testing.assert_allclose(metrics['contrastive_entropy'], np.mean(entropies),
                             rtol=1e-5)


def test_equal_keys_cost_the_logarithm_of_their_number(data):
  ones, queue = jnp.ones((8, 5)), jnp.ones((6, 5)) / math.sqrt(5)
  q, = f32(data[0])
  np.testing.assert_allclose(across_views(q, ones, T)[0], math.log(4), rtol=1e-5)
  np.testing.assert_allclose(against_queue(q, ones, queue, T)[0], math.log(7),
                             rtol=1e-5)


def test_nearest_rows_by_hand(data):
  q, queue = data[0], data[2]
  expected = queue[(unit(q) @ queue.T).argmax(1)]
  np.testing.assert_allclose(info_nce.nearest(*f32(q, queue)), expected, rtol=1e-6)
  gradient = jax.grad(lambda x: info_nce.nearest(x, *f32(queue)).sum())(*f32(q))
  assert not gradient.any()


def test_gradient_by_central_differences(data):
  q, k, queue = f32(*data)
  for loss in (lambda q: across_views(q, k, T)[0],
               lambda q: against_queue(q, k, queue, T)[0]):
    direction = f32(np.random.default_rng(1).normal(size=q.shape))[0]
    slope = (loss(q + 1e-2 * direction) - loss(q - 1e-2 * direction)) / 2e-2
    np.testing.assert_allclose((jax.grad(loss)(q) * direction).sum(), slope, rtol=2e-2)


@pytest.mark.parametrize('devices', [2, 8])
def test_losses_and_gradients_of_several_devices(data, devices):
  """There are 16 images, so that eight devices have two each."""
  rng = np.random.default_rng(2)
  q, k = f32(rng.normal(size=(32, 5)), rng.normal(size=(32, 5)))
  queue, = f32(data[2])
  both = jax.value_and_grad(lambda q, k, queue: info_nce.across_views(q, k, T)[0]
                            + info_nce.against_queue(q, k, queue, T)[0], (0, 1))
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  rows = mesh_lib.sharded(mesh)
  got = jax.jit(both)(jax.device_put(q, rows), jax.device_put(k, rows),
                      jax.device_put(queue, mesh_lib.replicated(mesh)))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
               got, jax.jit(both)(q, k, queue))
