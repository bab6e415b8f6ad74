"""MoCo v2: the queue has the keys of earlier steps, and is the set of negatives."""

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
  return tiny.config('moco_v2') | {
      'model': {'name': 'stub'}, 'projector': {'layers': 2, 'hidden': 12, 'dim': 4},
      'method': {'name': 'moco_v2', 'queue_size': 40, 'momentum': 0.9,
                 'temperature': 0.3}}


def test_the_queue_starts_at_random_and_does_not_depend_on_the_network():
  method = methods.build(config(), 0)
  variables = method.init(jax.random.key(0), (8, 8, 3))
  queue = variables.non_trainable['queue']
  assert queue.shape == (40, 4) and abs(queue.mean()) < 0.2
  start = method.with_pretrained(variables, method.encoder_variables(variables))
  np.testing.assert_array_equal(start.non_trainable['queue'], queue)
  jax.tree.map(np.testing.assert_array_equal, start.non_trainable['target']['params'],
               variables.params)


def test_a_step_by_hand():
  """Classifies queries among their keys and the queue, which then gets the keys."""
  method = methods.build(config(), 0)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  loss, output = jax.jit(method.loss)(variables.params, variables, views,
                                      -jnp.ones(4, jnp.int32))
  # The target network is a copy of the network, so its keys are the projections.
  z = np.asarray(output.endpoints['projection'], np.float64)
  z = z / np.linalg.norm(z, axis=1, keepdims=True)
  queue = np.asarray(variables.non_trainable['queue'], np.float64)
  expected = []
  for i in range(8):
    scores = np.array([z[i] @ z[i ^ 1], *(queue @ z[i])]) / 0.3
    expected.append(np.log(np.exp(scores).sum()) - scores[0])
  np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-4)
  new = output.non_trainable['queue']
  np.testing.assert_allclose(new[:8], z, rtol=1e-3, atol=1e-5)
  np.testing.assert_array_equal(new[8:], queue[:32].astype(np.float32))


def test_several_devices_have_the_same_queue():
  one, two = (tiny.train(config(), steps=2, devices=n)[0] for n in (1, 8))
  for name in ('queue', 'target'):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
                 one.variables.non_trainable[name], two.variables.non_trainable[name])


def test_the_target_network_is_a_moving_average():
  first, _, _ = tiny.train(config(), steps=0)
  last, _, _ = tiny.train(config(), steps=1)
  expected = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new,
                          first.variables.non_trainable['target']['params'],
                          last.variables.params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
               last.variables.non_trainable['target']['params'], expected)
