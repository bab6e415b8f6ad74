"""LeJEPA: the weighted sum of its terms, with new directions at every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods
from ssl_jax.objectives import sketched_gaussian


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def test_loss_of_a_step_with_three_views():
  method = methods.build(tiny.config('lejepa') | {
      'model': {'name': 'stub'}, 'projector': {'layers': 2, 'dim': 4},
      'method': {'name': 'lejepa', 'sigreg_weight': 0.3, 'directions': 5,
                 'views_per_image': 3}}, 0)
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views, again = (method.views(jax.random.key(i), {'image': images}) for i in (1, 2))
  assert views['images'].shape == (12, 8, 8, 3)
  assert (views['directions'] != again['directions']).any()
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  loss, output = jax.jit(method.loss)(variables.params, variables, views,
                                      -jnp.ones(4, jnp.int32))
  z = output.endpoints['projection']
  sigreg = np.mean([sketched_gaussian.sigreg(z[v::3], views['directions'])
                    for v in range(3)])
  np.testing.assert_allclose(
      loss, 0.7 * sketched_gaussian.invariance(z, 3) + 0.3 * sigreg, rtol=1e-5)
