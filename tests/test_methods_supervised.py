"""The supervised method hands its fields on to the objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_loss_is_smoothed_cross_entropy_of_its_logits(key, smoothing):
  fields = {**tiny.config('supervised'), 'model': {'name': 'stub'}}
  fields['method'] = {'name': 'supervised', 'label_smoothing': smoothing}
  with stub_encoder.registered():
    method = methods.build(fields, 4)
  variables = method.init(key, (8, 8, 3))
  # Drawn small, so that the logits would be too.
  variables.params['head'] = jax.tree.map(jnp.sign, variables.params['head'])
  images = np.arange(8 * 8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 8, 3) // 2
  images[1::2] = 255 - images[1::2]
  labels = np.array([0, 1, 2, 3, 0, 1, -1, 2])
  views = method.views(key, {'image': jnp.asarray(images)})
  loss, aux = method.loss(variables.params, variables, views, jnp.asarray(labels))
  log_p = np.asarray(jax.nn.log_softmax(aux.endpoints['logits']), np.float64)
  target = np.eye(4)[labels] * (1 - smoothing) + smoothing / 4
  rows = -(target * log_p).sum(1)[labels >= 0]
  np.testing.assert_allclose(loss, rows.mean(), rtol=1e-5)
  hits = (log_p.argmax(1) == labels)[labels >= 0]
  np.testing.assert_allclose(aux.metrics['accuracy'], hits.mean(), rtol=1e-6)
