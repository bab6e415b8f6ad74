"""NNCLR: neighbours come from the queue, which gets the first views of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config():
  return tiny.config('nnclr') | {
      'model': {'name': 'stub'}, 'projector': {'layers': 2, 'hidden': 12, 'dim': 4},
      'predictor': {'layers': 2, 'hidden': 12},
      'method': {'name': 'nnclr', 'queue_size': 40, 'temperature': 0.3}}


def test_a_step_by_the_equations():
  method = methods.build(config(), 0)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  loss, output = jax.jit(method.loss)(variables.params, variables, views,
                                      -jnp.ones(4, jnp.int32))
  unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
  z, p = (unit(np.asarray(output.endpoints[name], np.float64))
          for name in ('projection', 'prediction'))
  queue = np.asarray(variables.non_trainable['queue'], np.float64)
  neighbours = queue[(z @ queue.T).argmax(1)]
  expected = []
  for view in (0, 1):
    for i in range(4):
      scores = p[1 - view::2] @ neighbours[2 * i + view] / 0.3
      expected.append(np.log(np.exp(scores).sum()) - scores[i])
  np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-4)
  new = output.non_trainable['queue']
  np.testing.assert_allclose(new[:4], z[::2], rtol=1e-3, atol=1e-5)
  np.testing.assert_array_equal(new[4:], queue[:36].astype(np.float32))
