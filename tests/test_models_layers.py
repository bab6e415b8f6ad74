"""Tests BatchNorm by hand and against Flax', and the collectives and their dtypes."""

import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors, models
from ssl_jax.models import layers, resnet
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import collectives


class TwoNorms(nn.Module):
  """Two BatchNorms; the input of the second depends on the statistics of the first."""
  groups: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x, *, train):
    for name in ('bn1', 'bn2'):
      x = nn.relu(layers.batch_norm(train=train, dtype=self.dtype, name=name,
                                    groups=self.groups)(x))
    return x


def images(rows=16):
  rng = np.random.default_rng(0)
  return rng.normal(rng.normal(size=(rows, 1, 1, 3)), size=(rows, 2, 2, 3))


def variables(seed=1):
  """Returns parameters and running statistics that differ from initial values."""
  rng = np.random.default_rng(seed)
  draw = lambda *names: {name: rng.uniform(0.5, 2, 3).astype(np.float32)
                         for name in names}
  return {'params': {name: draw('scale', 'bias') for name in ('bn1', 'bn2')},
          'batch_stats': {name: draw('mean', 'var') for name in ('bn1', 'bn2')}}


def train(groups, variables, x):
  return TwoNorms(groups).apply(variables, jnp.asarray(x, jnp.float32), train=True,
                                mutable=['batch_stats'])


def by_hand(groups, v, x):
  """Computes both layers in float64, each group by itself."""
  running = {}
  for name in ('bn1', 'bn2'):
    parts = x.reshape(groups, -1, *x.shape[1:])
    mean, var = parts.mean((1, 2, 3)), parts.var((1, 2, 3))
    parts = (parts - mean[:, None, None, None]) / np.sqrt(
        var[:, None, None, None] + 1e-5)
    running[name] = {
        'mean': 0.9 * v['batch_stats'][name]['mean'] + 0.1 * mean.mean(0),
        'var': 0.9 * v['batch_stats'][name]['var'] + 0.1 * var.mean(0)}
    x = np.maximum(parts.reshape(x.shape) * v['params'][name]['scale']
                   + v['params'][name]['bias'], 0)
  return x, {'batch_stats': running}


def close(a, b):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5),
               a, b)


@pytest.mark.parametrize('groups', [1, 2, 8])
def test_by_hand(groups):
  close(train(groups, variables(), images()), by_hand(groups, variables(), images()))


def test_evaluation_and_variables_do_not_know_groups(key):
  x = jnp.asarray(images(), jnp.float32)
  shapes = lambda groups, train: jax.eval_shape(
      lambda: TwoNorms(groups).init(key, x, train=train))
  assert shapes(1, False) == shapes(4, False) == shapes(4, True)
  np.testing.assert_array_equal(TwoNorms(4).apply(variables(), x, train=False),
                                TwoNorms(1).apply(variables(), x, train=False))


class Reference(nn.Module):
  """`TwoNorms(1)` with Flax' BatchNorm."""
  dtype: Any

  @nn.compact
  def __call__(self, x, *, train):
    for name in ('bn1', 'bn2'):
      x = nn.relu(nn.BatchNorm(
          not train, momentum=0.9, epsilon=1e-5, dtype=self.dtype, name=name,
          use_fast_variance=self.dtype == jnp.bfloat16)(x))
    return x


@pytest.mark.parametrize('dtype, tolerance', [
    (jnp.float32, 1e-5), (jnp.bfloat16, 0.05)])
def test_values_statistics_and_gradients_of_flax(dtype, tolerance):
  def run(module):
    def loss(params, x):
      v = {**variables(), 'params': params}
      y, statistics = module.apply(v, x, train=True, mutable=['batch_stats'])
      return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum(), (y, statistics)
    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
        variables()['params'], jnp.asarray(images(), dtype))
  got, expected = run(TwoNorms(1, dtype)), run(Reference(dtype))
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(
          a.astype(np.float32), b.astype(np.float32), rtol=tolerance, atol=tolerance),
      got, expected)


def on_8_devices(groups, statistics):
  mesh = mesh_lib.data_mesh()
  rep, rows = mesh_lib.replicated(mesh), mesh_lib.sharded(mesh)
  f = lambda v, x: train(groups, v, x)[:1 + statistics]
  return jax.jit(f, in_shardings=(rep, rows),
                 out_shardings=(rows, rep)[:1 + statistics])


def all_reduces(groups, statistics):
  f = on_8_devices(groups, statistics)
  text = f.lower(variables(), images().astype(np.float32)).compile().as_text()
  assert not re.search('all-gather|all-to-all|collective-permute', text)
  return len(re.findall(r' all-reduce(?:-start)?\(', text))


def test_no_collective_where_a_group_has_a_device_to_itself():
  """The only one is the average for running statistics, for which no layer waits."""
  # The mean, then the mean square about it, of each of the two layers.
  assert all_reduces(1, statistics=False) == all_reduces(1, statistics=True) == 4
  assert all_reduces(8, statistics=False) == all_reduces(16, statistics=False) == 0
  assert all_reduces(8, statistics=True) == 1


@pytest.mark.parametrize('dtype, forward', [(jnp.bfloat16, 1), (jnp.float32, 2)])
def test_messages_of_a_layer_in_each_direction(dtype, forward):
  """bfloat16 needs one; float32 needs two, because the variance uses the mean."""
  mesh = mesh_lib.data_mesh()
  rep, rows = mesh_lib.replicated(mesh), mesh_lib.sharded(mesh)

  def gradients(v, x):
    f = lambda params, x: TwoNorms(1, dtype).apply(
        {**v, 'params': params}, x, train=True, mutable=['batch_stats'])
    _, pullback, _ = jax.vjp(f, v['params'], x, has_aux=True)
    return pullback(jnp.cos(x))
  f = jax.jit(gradients, in_shardings=(rep, rows), out_shardings=(rep, rows))
  text = f.lower(variables(), images().astype(dtype)).compile().as_text()
  assert sum(c.count for c in collectives.parse(text)) == 2 * forward + 2


@pytest.mark.parametrize('layer, row', [
    (layers.conv(1, 1, dtype=jnp.bfloat16, name='conv'), (1, 1, 1)),
    (layers.dense(1, dtype=jnp.bfloat16, name='dense'), (1,))])
def test_kernels_gradients_are_summed_over_devices_in_float32(layer, row):
  """bfloat16 represents 1 + 1/128, but not 1 + 7/512."""
  mesh = mesh_lib.data_mesh()
  x = jnp.ones((8, *row), jnp.bfloat16)
  pull = jnp.full(8, 2.**-9).at[0].set(1).reshape(x.shape).astype(jnp.bfloat16)

  def gradient(x, pull):
    with mesh_lib.use_mesh(mesh):
      params = layer.init(jax.random.key(0), x)
      return jax.vjp(lambda p: layer.apply(p, x), params)[1](pull)[0]
  rows = mesh_lib.sharded(mesh)
  f = jax.jit(gradient, in_shardings=(rows, rows),
              out_shardings=mesh_lib.replicated(mesh))
  kernel = f(x, pull)['params']['kernel']
  assert kernel.dtype == jnp.float32 and kernel.item() == 1 + 7 / 512


def test_dense_by_hand(key):
  x = jnp.asarray(images().reshape(16, -1), jnp.float32)
  for dtype, biased, result in (
      (jnp.float32, False, jnp.float32), (jnp.bfloat16, False, jnp.bfloat16),
      (jnp.bfloat16, True, jnp.float32)):
    module = layers.dense(5, dtype=dtype, use_bias=biased, name='dense')
    params = jax.tree.map(lambda p: p + 1.2345, module.init(key, x))
    got, p = module.apply(params, x), params['params']
    x_, w = (np.asarray(v.astype(dtype), np.float64) for v in (x, p['kernel']))
    assert got.dtype == result and p['kernel'].dtype == jnp.float32
    np.testing.assert_allclose(
        got.astype(np.float32), x_ @ w + np.asarray(p.get('bias', 0)),
        rtol=1e-5 if dtype == jnp.float32 else 1e-2)


@pytest.mark.parametrize('groups', [4, 8])
def test_devices_do_not_matter(groups):
  got = on_8_devices(groups, statistics=True)(variables(), images().astype(np.float32))
  close(tuple(got), train(groups, variables(), images()))


@pytest.mark.parametrize('encoder', [
    models.build('resnet8', bn_groups=2, shortcut='google'),
    models.build('nin', bn_groups=2),
    resnet.ResNet((1, 1), 8, True, 'imagenet', 'torch', 0.0625, bn_groups=2)])
def test_every_norm_of_an_encoder_has_its_groups(monkeypatch, key, encoder):
  seen, plain = [], layers.batch_norm

  def recorded(*, groups=1, **options):
    seen.append(groups)
    return plain(groups=groups, **options)
  monkeypatch.setattr(layers, 'batch_norm', recorded)
  stats = jax.eval_shape(lambda: encoder.init(key, jnp.ones((4, 32, 32, 3)),
                                              train=True))['batch_stats']
  assert seen == [2] * (len(jax.tree.leaves(stats)) // 2)


@pytest.mark.parametrize('groups', [0, 3])
def test_groups_that_do_not_divide_the_rows_are_explained(groups):
  with pytest.raises(errors.UserError, match=f'bn_groups is {groups};.* 16 rows'):
    train(groups, variables(), images())
