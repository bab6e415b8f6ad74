import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssl_jax import errors
from ssl_jax.objectives import contrastive
from ssl_jax.parallel import mesh as mesh_lib

# jit compiles each function once; eager calls would compile each operation.
STATIC = ('temperature', 'similarity', 'scale', 'decoupled')
nt_xent = jax.jit(contrastive.nt_xent, static_argnames=STATIC)
nt_xent_and_gradient = jax.jit(jax.value_and_grad(contrastive.nt_xent),
                               static_argnames=STATIC)
metrics = jax.jit(contrastive.contrastive_metrics, static_argnames=STATIC[:2])


def embeddings(rows=12, dim=5, seed=0):
  return np.random.default_rng(seed).normal(size=(rows, dim))


def by_hand(z, temperature, similarity='cosine', decoupled=False):
  """Computes equation 1 of the paper by a double loop in float64."""
  z = np.asarray(z, np.float64)
  if similarity == 'cosine':
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
  total = 0.0
  for i in range(len(z)):
    partner = i + 1 if i % 2 == 0 else i - 1
    scores = [math.exp(z[i] @ z[k] / temperature) for k in range(len(z))
              if k != i and not (decoupled and k == partner)]
    total -= math.log(math.exp(z[i] @ z[partner] / temperature) / sum(scores))
  return total / len(z)


@pytest.mark.parametrize('similarity', ['cosine', 'dot'])
@pytest.mark.parametrize('temperature', [0.1, 0.5, 2.0])
def test_loss_by_hand(similarity, temperature):
  z = embeddings()
  expected = by_hand(z, temperature, similarity)
  for scale, factor in (('paper', 1), ('google', 2)):
    got = nt_xent(jnp.asarray(z, jnp.float32), temperature=temperature,
                              similarity=similarity, scale=scale)
    assert got.dtype == jnp.float32 and got.shape == ()
    np.testing.assert_allclose(got, factor * expected, rtol=1e-5)


def test_decoupled_loss_by_hand():
  z = embeddings()
  got = nt_xent(jnp.asarray(z, jnp.float32), temperature=0.3, decoupled=True)
  np.testing.assert_allclose(got, by_hand(z, 0.3, decoupled=True), rtol=1e-5)
  np.testing.assert_allclose(nt_xent(jnp.ones((8, 4)), temperature=0.1, decoupled=True),
                             math.log(6), rtol=1e-5)


@pytest.mark.parametrize('similarity', ['cosine', 'dot'])
def test_gradient_by_central_differences(similarity):
  z = embeddings(rows=6, dim=3)
  got = nt_xent_and_gradient(jnp.asarray(z, jnp.float32), temperature=0.5,
                             similarity=similarity)[1]
  step, expected = 1e-5, np.zeros_like(z)
  for index in np.ndindex(*z.shape):
    up, down = z.copy(), z.copy()
    up[index] += step
    down[index] -= step
    expected[index] = (by_hand(up, 0.5, similarity)
                       - by_hand(down, 0.5, similarity)) / (2 * step)
  np.testing.assert_allclose(got, expected, atol=1e-6)


def test_value_and_gradient_of_optax():
  z = jnp.asarray(embeddings(16, 8), jnp.float32)
  labels = jnp.repeat(jnp.arange(8), 2)
  with jax.numpy_rank_promotion('allow'):
    expected = jax.jit(jax.value_and_grad(optax.losses.ntxent))(z, labels, 0.5)
  got = nt_xent_and_gradient(z, temperature=0.5)
  np.testing.assert_allclose(got[0], expected[0], rtol=1e-5)
  np.testing.assert_allclose(got[1], expected[1], atol=1e-6)


@pytest.mark.parametrize('n', [2, 8, 512])
def test_equal_embeddings_cost_log_2n_minus_1(n):
  z = jnp.ones((2 * n, 4))
  np.testing.assert_allclose(nt_xent(z, temperature=0.1), math.log(2 * n - 1),
                             rtol=1e-5, atol=1e-5)


def test_perfect_and_orthogonal_pairs():
  """The positive pair has exp(1/t), and the 2N-2 negatives have exp(0) each."""
  z = jnp.repeat(jnp.eye(4), 2, axis=0)
  expected = -math.log(math.exp(2) / (math.exp(2) + 6))
  np.testing.assert_allclose(nt_xent(z, temperature=0.5), expected, rtol=1e-5)


def test_invariances():
  z = jnp.asarray(embeddings(), jnp.float32)
  loss = nt_xent(z, temperature=0.3)
  pairs = z.reshape(-1, 2, z.shape[-1])
  order = np.random.default_rng(1).permutation(len(pairs))
  lengths = jnp.linspace(0.1, 10, len(z))[:, None]
  for same in (pairs[:, ::-1], pairs[order], (z * lengths)):
    np.testing.assert_allclose(
        nt_xent(same.reshape(z.shape), temperature=0.3), loss, rtol=1e-5)
  broken = jnp.roll(z, 1, axis=0)
  assert abs(nt_xent(broken, temperature=0.3) - loss) > 1e-2


def test_bfloat16_embeddings_are_computed_in_float32():
  z = jnp.asarray(embeddings(), jnp.bfloat16)
  got = nt_xent(z, temperature=0.1)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, by_hand(np.asarray(z, np.float64), 0.1), rtol=1e-5)


def test_a_dead_embedding_has_a_finite_gradient():
  z = jnp.asarray(embeddings(), jnp.float32).at[3].set(0)
  loss, grad = nt_xent_and_gradient(z, temperature=0.1)
  assert np.isfinite(loss) and np.isfinite(grad).all()


def loss_and_metrics(z):
  return (contrastive.nt_xent(z, 0.2, scale='google'),
          contrastive.contrastive_metrics(z, 0.2))


def compiled_on(devices, f, rows, dim):
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  shape = jax.ShapeDtypeStruct((rows, dim), jnp.float32,
                               sharding=mesh_lib.sharded(mesh))
  outputs = (mesh_lib.replicated(mesh), mesh_lib.sharded(mesh))
  return mesh, jax.jit(f, out_shardings=outputs).lower(shape).compile()


@pytest.mark.parametrize('devices', [2, 8])
def test_any_number_of_devices_gives_the_same_loss_and_gradient(devices):
  z = embeddings(32, 6).astype(np.float32)
  f = jax.value_and_grad(loss_and_metrics, has_aux=True)
  results = []
  for n in (1, devices):
    mesh, step = compiled_on(n, f, *z.shape)
    results.append(jax.tree.map(
        np.asarray, step(jax.device_put(z, mesh_lib.sharded(mesh)))))
  (one_value, one_gradient), (value, gradient) = results
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
               value, one_value)
  np.testing.assert_allclose(gradient, one_gradient, rtol=1e-5, atol=1e-7)
  np.testing.assert_allclose(value[0], 2 * by_hand(z, 0.2), rtol=1e-5)


@pytest.mark.parametrize('f, gathers', [
    (jax.value_and_grad(lambda z: contrastive.nt_xent(z, 0.2)), [64]),
    (jax.value_and_grad(loss_and_metrics, has_aux=True), [32, 64])])
def test_only_embeddings_are_gathered_and_logits_stay_sharded(f, gathers):
  """The loss gathers them once; the metrics gather the second views."""
  rows, dim = 64, 7
  hlo = compiled_on(8, f, rows, dim)[1].as_text()
  shapes = re.findall(r'= f32\[([\d,]+)\]\S* all-gather(?:-start)?\(', hlo)
  assert len(shapes) == len(re.findall(r' all-gather(?:-start)?\(', hlo))
  assert sorted(math.prod(map(int, s.split(','))) for s in shapes) == [
      n * dim for n in gathers]
  for moved in ('all-to-all', 'collective-permute'):
    assert moved not in hlo
  assert f'[{rows // 8},{rows}]' in hlo
  assert f'[{rows},{rows}]' not in hlo


def test_metrics_by_hand():
  z = embeddings(10, 3)
  unit = z / np.linalg.norm(z, axis=1, keepdims=True)
  scores = np.exp(unit[::2] @ unit[1::2].T / 0.2)
  p = scores / scores.sum(1, keepdims=True)
  got = metrics(jnp.asarray(z, jnp.float32), temperature=0.2)
  np.testing.assert_allclose(got['contrastive_accuracy'],
                             (p.argmax(1) == np.arange(5)).mean())
  np.testing.assert_allclose(got['contrastive_entropy'],
                             -(p * np.log(p)).sum(1).mean(), rtol=1e-5)


def test_metrics_of_collapsed_and_of_perfect_embeddings():
  got = metrics(jnp.ones((16, 4)), temperature=0.5)
  np.testing.assert_allclose(got['contrastive_accuracy'], 1 / 8)
  np.testing.assert_allclose(got['contrastive_entropy'], math.log(8), rtol=1e-5)
  got = metrics(jnp.repeat(jnp.eye(8), 2, axis=0), temperature=0.01)
  np.testing.assert_allclose(got['contrastive_accuracy'], 1)
  np.testing.assert_allclose(got['contrastive_entropy'], 0, atol=1e-5)


@pytest.mark.parametrize('arguments, words', [
    ({'temperature': 0}, ['temperature is 0', 'positive']),
    ({'temperature': 1, 'similarity': 'l2'}, ['similarity', "'l2'", 'cosine']),
    ({'temperature': 1, 'scale': 'sum'}, ['scale', "'sum'", 'google']),
])
def test_mistakes_are_explained(arguments, words):
  with pytest.raises(errors.UserError) as error:
    contrastive.nt_xent(jnp.ones((4, 2)), **arguments)
  for word in words:
    assert word in str(error.value)


def test_an_odd_number_of_rows_is_refused():
  with pytest.raises(ValueError, match='3 rows; each image needs two views'):
    contrastive.nt_xent(jnp.ones((3, 2)), 0.5)
