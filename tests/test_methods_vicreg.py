"""VICReg: the weighted sum of its terms, over the whole batch of a step."""

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


def test_loss_of_a_step_by_hand():
  weights = {'invariance_weight': 3., 'variance_weight': 5., 'covariance_weight': 7.}
  method = methods.build(tiny.config('vicreg') | {
      'model': {'name': 'stub'}, 'method': {'name': 'vicreg', **weights},
      'projector': {'layers': 3, 'hidden': 12, 'dim': 4, 'last_layer': 'bias'}}, 0)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  loss, output = jax.jit(method.loss)(variables.params, variables, views,
                                      -np.ones(8, np.int32))
  z = np.asarray(output.endpoints['projection'], np.float64)
  halves = z[::2], z[1::2]
  covariances = [np.cov(x.T) for x in halves]
  expected = (
      3 * np.square(halves[0] - halves[1]).mean()
      + 5 * np.mean([np.maximum(0, 1 - np.sqrt(np.diag(c) + 1e-4))
                     for c in covariances])
      + 7 * sum(np.square(c - np.diag(np.diag(c))).sum() for c in covariances) / 4)
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
  assert set(output.metrics) == {'invariance', 'variance', 'covariance'}


def test_defaults_are_those_of_the_paper():
  method = methods.build(tiny.config('vicreg'), 0)
  assert (method.invariance_weight, method.variance_weight,
          method.covariance_weight) == (25, 25, 1)
