"""Tests tiled NT-Xent against the dense one, its memory and its collectives."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.methods import base, simclr
from ssl_jax.objectives import contrastive, tiled
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import step


def embeddings(rows, dim=6, seed=0):
  return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def dense(z, temperature, **options):
  own = {name: options.pop(name) for name in ('scale', 'decoupled') if name in options}
  return (contrastive.nt_xent(z, temperature, **own, **options),
          contrastive.contrastive_metrics(z, temperature, **options))


def compiled(loss, z, temperature, devices=1, **options):
  """Compiles value_and_grad for the first few devices, as train/step.py does."""
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])

  def value_and_grad(z):
    with mesh_lib.use_mesh(mesh):
      return jax.value_and_grad(
          lambda z: loss(z, temperature, **options), has_aux=True)(z)
  rows = mesh_lib.sharded(mesh)
  return jax.jit(value_and_grad, out_shardings=(mesh_lib.replicated(mesh), rows)
                 ).lower(jax.ShapeDtypeStruct(z.shape, z.dtype, sharding=rows)
                         ).compile(), rows


def run(loss, z, *args, **options):
  f, rows = compiled(loss, z, *args, **options)
  return jax.tree.map(np.asarray, f(jax.device_put(z, rows)))


def same(a, b, rtol=1e-6, atol=1e-6):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol),
               a, b)


@pytest.mark.parametrize('devices, images', [(1, 4), (2, 5), (8, 2)])
def test_dense_value_gradient_and_metrics(monkeypatch, devices, images):
  """Tests block sizes that divide the 24 images, that do not, and few per device."""
  z = embeddings(48)
  monkeypatch.setattr(tiled, 'IMAGES', images)
  same(run(tiled.nt_xent, z, 0.2, devices), run(dense, z, 0.2))


@pytest.mark.parametrize('options', [
    {'temperature': 0.5, 'scale': 'google'},
    {'temperature': 0.5, 'decoupled': True},
    {'temperature': 0.005},                      # exp(-2 / tau) is 0 in float32
    {'temperature': 0.05, 'similarity': 'dot'},  # logits of several hundred
])
def test_scales_low_temperatures_and_dot_products(monkeypatch, options):
  z = embeddings(24)
  monkeypatch.setattr(tiled, 'IMAGES', 5)
  got, expected = run(tiled.nt_xent, z, **options), run(dense, z, **options)
  assert np.isfinite(got[1]).all() and np.abs(got[1]).max() > 1e-3
  # An ulp of a logit of 200 to 500 is 1.5e-5 to 3e-5. As it stands in an exponent, that
  # is the relative error of a probability, and so of a gradient: up to 4 ulps.
  same(got, expected, rtol=1e-4, atol=4e-6 * np.abs(expected[1]).max())


def test_decoupled_loss_where_the_first_tile_is_the_image_itself(monkeypatch):
  z = embeddings(12)
  monkeypatch.setattr(tiled, 'IMAGES', 1)
  got, expected = (run(f, z, 0.2, decoupled=True) for f in (tiled.nt_xent, dense))
  assert np.isfinite(got[1]).all()
  same(got, expected)


def test_rows_that_are_far_from_all_others(monkeypatch):
  """The positive logits are -200, whose exp underflows, and all others are 0."""
  z = np.kron(np.eye(6), [[1], [-1]]).astype(np.float32)
  monkeypatch.setattr(tiled, 'IMAGES', 2)
  (loss, _), gradient = run(tiled.nt_xent, z, 0.005)
  np.testing.assert_allclose(loss, math.log(10) + 200, rtol=1e-6)
  assert np.isfinite(gradient).all()


def test_collapsed_embeddings_tie(monkeypatch):
  monkeypatch.setattr(tiled, 'IMAGES', 2)
  (loss, metrics), _ = run(tiled.nt_xent, np.ones((16, 4), np.float32), 0.5)
  np.testing.assert_allclose(loss, math.log(15), rtol=1e-5)
  np.testing.assert_allclose(metrics['contrastive_accuracy'], 1 / 8)
  np.testing.assert_allclose(metrics['contrastive_entropy'], math.log(8), rtol=1e-5)


def test_bfloat16_products_beyond_a_number_of_rows(monkeypatch):
  z = embeddings(64, dim=16).astype(jnp.bfloat16)
  expected = run(dense, z, 0.5)
  same(run(tiled.nt_xent, z, 0.5), expected, rtol=1e-5, atol=1e-4)
  assert 'bf16[32,2,16]' not in compiled(tiled.nt_xent, z, 0.5)[0].as_text()
  monkeypatch.setattr(tiled, 'EXACT_ROWS', 32)
  got = run(tiled.nt_xent, z, 0.5)
  np.testing.assert_allclose(got[0][0], expected[0][0], rtol=1e-3)
  assert got[0][0] != expected[0][0]
  gradients = got[1].astype(np.float32), expected[1].astype(np.float32)
  np.testing.assert_allclose(*gradients, atol=0.02 * np.abs(gradients[1]).max())


def test_one_gather_of_embeddings_and_one_of_a_float_per_row(monkeypatch):
  rows, dim = 64, 7
  monkeypatch.setattr(tiled, 'IMAGES', 4)
  text = compiled(tiled.nt_xent, embeddings(rows, dim), 0.2, 8)[0].as_text()
  shapes = re.findall(r'= f32\[([\d,]+)\]\S* all-gather(?:-start)?\(', text)
  assert len(shapes) == len(re.findall(r' all-gather(?:-start)?\(', text))
  assert sorted(math.prod(map(int, s.split(','))) for s in shapes) == [
      rows, rows * dim]
  for moved in ('all-to-all', 'collective-permute'):
    assert moved not in text
  reduced = re.findall(r'= \(?(\w+\[[\d,]*\])\S* all-reduce', text)
  assert set(reduced) <= {'f32[]', 's32[]'}


def test_memory_grows_with_the_rows_and_not_with_their_square(monkeypatch):
  def temp(loss, rows):
    z = jax.ShapeDtypeStruct((rows, 8), jnp.float32)
    return compiled(loss, z, 0.2, 8)[0].memory_analysis().temp_size_in_bytes
  monkeypatch.setattr(tiled, 'IMAGES', 64)
  few, many = 2**12, 2**14
  assert temp(dense, few) > 4 * few**2 / 8
  assert temp(tiled.nt_xent, many) < 4 * temp(tiled.nt_xent, few) < temp(dense, few)


@pytest.mark.parametrize('mode, rows, devices, expected', [
    ('auto', 8192, 1, False), ('auto', 8194, 1, True), ('auto', 16, 2, True),
    ('always', 2, 1, True), ('never', 2**20, 8, False)])
def test_when_it_is_taken(mode, rows, devices, expected):
  with mesh_lib.use_mesh(mesh_lib.data_mesh(jax.devices()[:devices])):
    assert tiled.should_tile(mode, rows) is expected


class WithoutNetwork(simclr.SimCLR):

  def forward(self, params, variables, views):
    return {'projection': views}, {}


def test_simclr_takes_either(monkeypatch):
  z = embeddings(24)
  monkeypatch.setattr(tiled, 'DENSE_BYTES', 4 * 24**2 - 1)
  results = {}
  for mode in tiled.MODES:
    method = WithoutNetwork(None, (), None, None, temperature=0.2, tiled=mode)
    loss_of = functools.partial(method.loss, None, base.Variables(None, None))
    trace = jax.jit(loss_of).trace(z, None)
    loss, aux = trace.lower().compile()(z, None)
    results[mode] = loss, aux.metrics
    assert ('scan' in str(trace.jaxpr)) == (mode != 'never')
  same(results['always'], results['never'])


def test_the_step_is_traced_on_its_mesh():
  mesh = mesh_lib.data_mesh()
  state = step.TrainState(jnp.int32(0), None, None, None)
  dispatch = step.make_dispatch(
      lambda state, key, batch: (state, {'devices': jnp.int32(mesh_lib.num_devices())}),
      lambda inputs, step: inputs, mesh, state)
  state = jax.device_put(state, mesh_lib.replicated(mesh))
  assert dispatch(state, None, None, 1)[1]['devices'] == 8
  assert mesh_lib.num_devices() == 1


def test_mistakes_are_explained():
  for call, words in (
      (functools.partial(tiled.should_tile, 'on', 8), ['tiled', "'on'", 'always']),
      (lambda: tiled.nt_xent(jnp.ones((4, 2)), 0), ['temperature is 0']),
      (lambda: tiled.nt_xent(jnp.ones((4, 2)), 1, scale='sum'), ['scale', "'sum'"])):
    with pytest.raises(errors.UserError) as error:
      call()
    for word in words:
      assert word in str(error.value)
