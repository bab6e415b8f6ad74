"""Tests the supervised contrastive loss against the paper's equation in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.objectives import contrastive, supervised_contrastive
from ssl_jax.parallel import mesh as mesh_lib

LABELS = np.array([3, 0, 3, -1, -1, 0, 3, 7], np.int32)
T = 0.3
sup_con = jax.jit(supervised_contrastive.sup_con,
                  static_argnames=('temperature', 'mode'))


@pytest.fixture
def z():
  return np.random.default_rng(0).normal(size=(16, 5))


def by_hand(z, labels):
  """Computes equation 2 by loops; an image without a label is a class of its own."""
  z = z / np.linalg.norm(z, axis=1, keepdims=True)
  classes = np.repeat([100 + i if y < 0 else y for i, y in enumerate(labels)], 2)
  losses = []
  for i in range(len(z)):
    others = [a for a in range(len(z)) if a != i]
    total = np.log(sum(np.exp(z[i] @ z[a] / T) for a in others))
    positives = [p for p in others if classes[p] == classes[i]]
    losses.append(np.mean([total - z[i] @ z[p] / T for p in positives]))
  return np.mean(losses)


@pytest.mark.parametrize('mode', ['never', 'always'])
def test_loss_by_the_equation(z, mode):
  loss, metrics = sup_con(jnp.asarray(z, jnp.float32), LABELS, temperature=T, mode=mode)
  np.testing.assert_allclose(loss, by_hand(z, LABELS), rtol=1e-5)
  assert set(metrics) == {'contrastive_accuracy', 'contrastive_entropy'}


def test_without_labels_it_is_nt_xent(z):
  z = jnp.asarray(z, jnp.float32)
  np.testing.assert_allclose(
      sup_con(z, jnp.full(8, -1), temperature=T)[0], contrastive.nt_xent(z, T),
      rtol=1e-6)


def test_labels_are_names_only(z):
  z = jnp.asarray(z, jnp.float32)
  renamed = np.where(LABELS < 0, -1, 1000 - LABELS)
  np.testing.assert_allclose(sup_con(z, LABELS, temperature=T)[0],
                             sup_con(z, renamed, temperature=T)[0], rtol=1e-6)


@pytest.mark.parametrize('devices', [2, 8])
def test_loss_and_gradient_of_several_devices(z, devices):
  def both(z, labels):
    with mesh_lib.use_mesh(mesh):
      return jax.value_and_grad(
          lambda z: supervised_contrastive.sup_con(z, labels, T)[0])(z)
  z = jnp.asarray(z, jnp.float32)
  results = []
  for n in (1, devices):
    mesh = mesh_lib.data_mesh(jax.devices()[:n])
    rows = mesh_lib.sharded(mesh)
    results.append(jax.jit(both)(jax.device_put(z, rows), jax.device_put(LABELS, rows)))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
               *jax.device_get(results))
