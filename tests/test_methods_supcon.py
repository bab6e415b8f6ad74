"""SupCon: labels decide what is positive, and images without one are alone."""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods
from ssl_jax.objectives import contrastive


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def test_labels_enter_the_loss():
  method = methods.build(tiny.config('supcon') | {
      'model': {'name': 'stub'}, 'projector': {'layers': 2, 'dim': 4},
      'method': {'name': 'supcon', 'temperature': 0.3}}, 4)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  loss = jax.jit(method.loss)
  alone, output = loss(variables.params, variables, views, -np.ones(4, np.int32))
  z = output.endpoints['projection']
  np.testing.assert_allclose(alone, contrastive.nt_xent(z, 0.3), rtol=1e-5)
  z = np.asarray(z, np.float64)
  z = z / np.linalg.norm(z, axis=1, keepdims=True)
  classes, expected = np.repeat([2, 0, 2, 1], 2), []
  for i in range(8):
    scores = z @ z[i] / 0.3
    total = np.log(np.exp(np.delete(scores, i)).sum())
    positives = [p for p in range(8) if p != i and classes[p] == classes[i]]
    expected.append(np.mean([total - scores[p] for p in positives]))
  together, _ = loss(variables.params, variables, views,
                     np.array([2, 0, 2, 1], np.int32))
  np.testing.assert_allclose(together, np.mean(expected), rtol=1e-4)
