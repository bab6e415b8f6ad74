"""Barlow Twins: the published heads, and a loss over the whole batch of a step."""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def build(chunks=1, **fields):
  return methods.build({
      **tiny.config(grad_cache_chunks=chunks), 'model': {'name': 'stub'},
      'projector': {'layers': 3, 'hidden': 12, 'dim': 4, 'last_layer': 'none'},
      'method': {'name': 'barlow_twins', **fields}}, 0)


def initial(method):
  return jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))


def test_the_projector_is_the_papers():
  """Three layers, BatchNorm after the first two, no bias."""
  variables = jax.eval_shape(lambda: initial(build()))
  shapes = {jax.tree_util.keystr(path, simple=True, separator='/'): x.shape
            for path, x in jax.tree_util.tree_leaves_with_path(variables.params)
            if path[0].key != 'encoder'}
  assert shapes == {
      'projector/dense1/kernel': (6, 12), 'projector/bn1/scale': (12,),
      'projector/bn1/bias': (12,), 'projector/dense2/kernel': (12, 12),
      'projector/bn2/scale': (12,), 'projector/bn2/bias': (12,),
      'projector/dense3/kernel': (12, 4)}


@pytest.mark.parametrize('weight', [0.005, 1.])
def test_loss_of_a_step_by_the_equations(weight):
  method = build(redundancy_weight=weight)
  images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  variables = initial(method)
  loss, output = jax.jit(method.loss)(variables.params, variables, views,
                                      -np.ones(8, np.int32))
  z = np.asarray(output.endpoints['projection'], np.float64)
  a, b = z[::2], z[1::2]
  c = np.corrcoef(a.T, b.T)[:4, 4:]
  expected = ((1 - np.diag(c))**2).sum() + weight * (
      (c**2).sum() - (np.diag(c)**2).sum())
  np.testing.assert_allclose(loss, expected, rtol=1e-2)  # epsilon of the variance


def test_the_loss_of_chunks_spans_the_whole_batch():
  """BatchNorm is over a chunk, so two equal chunks have the loss of the whole."""
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  one, two = build(), build(chunks=2)
  views = one.views(jax.random.key(1), {'image': images}).reshape(4, 2, 8, 8, 3)
  views = views.repeat(2, axis=0).reshape(-1, 8, 8, 3)  # image i is in chunk i % 2
  variables = initial(one)
  loss = [jax.jit(method.loss)(variables.params, variables, views,
                               -np.ones(8, np.int32))[0] for method in (one, two)]
  np.testing.assert_allclose(*loss, rtol=1e-4)
