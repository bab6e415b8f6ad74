"""Tests NIN: its number of parameters, shapes, and every layer by hand in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import numpy_networks as by_hand
import pytest

from ssl_jax import errors, models
from ssl_jax.models import heads


def shapes(module, size=32):
  images = jnp.zeros((2, size, size, 3))
  return jax.eval_shape(
      lambda key: module.init_with_output(key, images, train=False), jax.random.key(0))


def count(tree):
  return sum(x.size for x in jax.tree.leaves(tree))


# RotNet's code: 4 rotations, or the 10 classes of its supervised counterpart.
@pytest.mark.parametrize('blocks, classes, expected', [
    (3, 4, 1_004_484), (4, 4, 1_411_140), (5, 4, 1_817_796), (3, 10, 1_005_642)])
def test_parameter_counts(blocks, classes, expected):
  _, variables = shapes(models.build('nin', blocks=blocks))
  head = jax.eval_shape(lambda key: heads.LinearHead(classes).init(
      key, jnp.zeros((2, 192)), train=False), jax.random.key(0))
  assert count(variables['params']) + count(head) == expected


def test_parameters_of_each_block():
  _, variables = shapes(models.build('nin', blocks=5))
  counts = [count(variables['params'][f'block{i}']) for i in range(1, 6)]
  assert counts == [61_376, 535_680, 406_656, 406_656, 406_656]


@pytest.mark.parametrize('blocks', [3, 4, 5])
def test_endpoints(blocks):
  endpoints, _ = shapes(models.build('nin', blocks=blocks, dtype=jnp.bfloat16))
  assert {name: x.shape[1:] for name, x in endpoints.items()} == {
      'block1': (16, 16, 96), 'block2': (8, 8, 192),
      **{f'block{i}': (8, 8, 192) for i in range(3, blocks + 1)}, 'pooled': (192,)}
  assert {name for name, x in endpoints.items() if x.dtype == jnp.float32} == {'pooled'}


def average_pool(x):
  """Pools 3x3 at stride 2, with a border of zeros, always divided by 9."""
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  rows, cols = range(0, x.shape[1] - 2, 2), range(0, x.shape[2] - 2, 2)
  return np.stack([np.stack([x[:, i:i + 3, j:j + 3].sum((1, 2)) / 9 for j in cols], 1)
                   for i in rows], 1)


def nin(x, params):
  """Computes the network in training mode, in float64."""
  x, endpoints = np.asarray(x, np.float64), {}
  for i in range(1, len(params) + 1):
    block = params[f'block{i}']
    for j in (1, 2, 3):
      x = by_hand.conv(x, block[f'conv{j}']['kernel'])
      x = by_hand.relu(by_hand.batch_norm(x, block[f'bn{j}']))
    if i < 3:
      x = by_hand.max_pool(x) if i == 1 else average_pool(x)
    endpoints[f'block{i}'] = x
  return endpoints | {'pooled': x.mean((1, 2))}


def test_every_layer_by_hand():
  module = models.build('nin', blocks=3, width=1 / 32)
  rng = np.random.default_rng(0)
  images = rng.normal(size=(3, 12, 12, 3)).astype(np.float32)
  variables = jax.jit(lambda: module.init(jax.random.key(0), images, train=False))()
  # Not the initial values 0 and 1, so that each parameter has an effect.
  params = jax.tree.map(lambda x: np.asarray(
      rng.normal(size=x.shape) / 2 + (x.ndim == 1), np.float32), variables['params'])
  got, _ = jax.jit(lambda v: module.apply(
      v, images, train=True, mutable=['batch_stats']))({**variables, 'params': params})
  want = nin(images, params)
  assert got.keys() == want.keys()
  for name in want:
    np.testing.assert_allclose(got[name], want[name], rtol=1e-3, atol=1e-3)


def test_weights_start_as_torch_starts_convolutions():
  module = models.build('nin', width=0.25)
  params = jax.jit(lambda key: module.init(
      key, jnp.zeros((1, 8, 8, 3)), train=False))(jax.random.key(0))['params']
  kernels = {path: np.asarray(x) for path, x in
             jax.tree_util.tree_leaves_with_path(params) if x.ndim == 4}
  assert len(kernels) == 12
  for kernel in kernels.values():
    bound = np.prod(kernel.shape[:3])**-0.5
    assert 0.97 * bound < np.abs(kernel).max() <= bound
    np.testing.assert_allclose(kernel.std(), bound / np.sqrt(3), rtol=0.1)


@pytest.mark.parametrize('fields, words', [
    ({'blocks': 2}, ['config.model.blocks is 2', 'from 3 to 5']),
    ({'width': 0.3}, ['config.model.width is 0.3', '1/32']),
    ({'width': 0}, ['config.model.width is 0']),
    ({'block': 4}, ['config.model.block ', "'blocks'"]),
])
def test_mistakes_are_explained(fields, words):
  with pytest.raises(errors.UserError) as error:
    models.build('nin', **fields)
  for word in words:
    assert word in str(error.value)
