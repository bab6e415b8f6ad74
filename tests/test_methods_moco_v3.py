"""MoCo v3: the loss of a step by the paper's algorithm, keys without a gradient."""

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


def test_loss_and_gradient_by_the_algorithm():
  method = methods.build(tiny.config('moco_v3') | {
      'model': {'name': 'stub'}, 'method': {'name': 'moco_v3', 'temperature': 0.3},
      'projector': {'layers': 2, 'hidden': 12, 'dim': 4},
      'predictor': {'layers': 2, 'hidden': 12}}, 0)
  first = jax.jit(lambda key: method.init(key, (8, 8, 3)))
  variables, other = first(jax.random.key(0)), first(jax.random.key(1))
  variables = variables.replace(non_trainable=other.non_trainable)
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  target = variables.non_trainable
  keys = method.network.clone(predictor=None).apply(
      {'params': target['params'], 'batch_stats': target['batch_stats']}, views,
      train=True, mutable=['batch_stats'])[0]['projection']
  unit = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)

  def by_hand(params):
    q = method.network.apply(
        {'params': params, 'batch_stats': variables.model_state}, views, train=True,
        mutable=['batch_stats'])[0]['prediction']
    def ctr(q, k):
      log_p = jax.nn.log_softmax(unit(q) @ unit(k).T / 0.3)
      return -2 * 0.3 * jnp.diagonal(log_p).mean()
    return ctr(q[::2], keys[1::2]) + ctr(q[1::2], keys[::2])

  loss, gradient = jax.jit(jax.value_and_grad(lambda p: method.loss(
      p, variables, views, -jnp.ones(4, jnp.int32))[0]))(variables.params)
  value, expected = jax.jit(jax.value_and_grad(by_hand))(variables.params)
  np.testing.assert_allclose(loss, value, rtol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
               gradient, expected)


def test_the_target_network_follows():
  fields = tiny.config('moco_v3') | {'model': {'name': 'stub'}}
  fields['optim']['learning_rate'] = 0.002
  state, rows, _ = tiny.train(fields, steps=2)
  start, _, _ = tiny.train(fields, steps=0)
  before, after = (s.variables.non_trainable['params'] for s in (start, state))
  assert set(after) == {'encoder', 'projector'}
  moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), before, after)
  assert 0 < max(jax.tree.leaves(moved)) < 0.1
  assert all(np.isfinite(row['loss']) for row in rows)
