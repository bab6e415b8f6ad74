"""BatchNorm over groups of rows: a NumPy oracle, and what crosses devices."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors, models
from ssl_jax.models import layers, resnet
from ssl_jax.train import mesh as mesh_lib


class TwoNorms(nn.Module):
  """The second normalises what depends on the statistics of the first."""
  groups: int

  @nn.compact
  def __call__(self, x, *, train):
    for name in ('bn1', 'bn2'):
      x = nn.relu(layers.batch_norm(train=train, dtype=jnp.float32, name=name,
                                    groups=self.groups)(x))
    return x


def images(rows=16):
  rng = np.random.default_rng(0)
  return rng.normal(rng.normal(size=(rows, 1, 1, 3)), size=(rows, 2, 2, 3))


def variables(seed=1):
  """Parameters and running statistics that are not those of initialisation."""
  rng = np.random.default_rng(seed)
  draw = lambda *names: {name: rng.uniform(0.5, 2, 3).astype(np.float32)
                         for name in names}
  return {'params': {name: draw('scale', 'bias') for name in ('bn1', 'bn2')},
          'batch_stats': {name: draw('mean', 'var') for name in ('bn1', 'bn2')}}


def train(groups, variables, x):
  return TwoNorms(groups).apply(variables, jnp.asarray(x, jnp.float32), train=True,
                                mutable=['batch_stats'])


def by_hand(groups, v, x):
  """Each group by itself in float64; statistics of the second layer are given it."""
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
  """But one, that no layer waits for: the average for the running statistics."""
  # The mean, then the mean square about it, of each of the two layers.
  assert all_reduces(1, statistics=False) == all_reduces(1, statistics=True) == 4
  assert all_reduces(8, statistics=False) == all_reduces(16, statistics=False) == 0
  assert all_reduces(8, statistics=True) == 1


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
