"""Tests that the online probe learns and never changes the training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from ssl_jax import errors, methods
from ssl_jax.train import online_probe


def leaves(tree):
  return [np.asarray(x) for x in jax.tree.leaves(tree)]


def same(a, b):
  for x, y in zip(leaves(a), leaves(b), strict=True):
    np.testing.assert_array_equal(x, y)


def test_online_probe_never_changes_training():
  alone, _, _ = tiny.train(tiny.config(), steps=4)
  watched, rows, _ = tiny.train(
      tiny.config(), steps=4, probe=online_probe.OnlineProbe(num_classes=4))
  same(alone.variables, watched.variables)
  assert 0 <= rows[-1]['probe/top1'] <= 1
  assert np.abs(watched.probe.params['kernel']).max() > 0  # and it does learn


@pytest.mark.parametrize('name', ['simclr', 'rotnet', 'supervised', 'byol'])
def test_online_probe_fits_a_batch_in_parts_and_groups(name, key):
  fields = {**tiny.config(name, grad_cache_chunks=2),
            'model': {**tiny.MODEL, 'bn_groups': 8}}
  method = methods.build(fields, 4)
  probe = online_probe.OnlineProbe(num_classes=4, endpoint='stage2', pool=2)
  variables = jax.eval_shape(lambda: method.init(key, (8, 8, 3)))
  state = jax.eval_shape(lambda v: probe.init(method, v, (8, 8, 3)), variables)

  def update(variables, state):
    batch = {'image': jnp.zeros((16, 8, 8, 3), jnp.uint8)}
    views, labels = method.views(key, batch), jnp.zeros(16, jnp.int32)
    aux = method.loss(variables.params, variables, views, labels)[1]
    return probe.update(state, aux.endpoints, labels)[0]
  assert jax.eval_shape(update, variables, state) == state


def test_online_probe_learns_what_is_separable(key):
  probe = online_probe.OnlineProbe(num_classes=3, learning_rate=0.1)
  labels = jnp.arange(30) % 3
  features = jnp.repeat(jax.nn.one_hot(labels, 3), 2, axis=0)  # two views each
  params = {'kernel': jnp.zeros((3, 3)), 'bias': jnp.zeros(3)}
  state = online_probe.ProbeState(params, optax.adam(probe.learning_rate).init(params))
  for _ in range(20):
    state, top1 = probe.update(state, {'pooled': features}, labels)
  assert top1 == 1


def test_online_probe_stands_on_the_endpoint_it_is_given():
  maps = jnp.arange(2 * 4 * 4 * 3, dtype=jnp.float32).reshape(2, 4, 4, 3)
  endpoints = {'stage1': maps, 'pooled': jnp.zeros((2, 7))}
  probe = online_probe.OnlineProbe(num_classes=2, endpoint='stage1', pool=2)
  params = {'kernel': jnp.zeros((12, 2)), 'bias': jnp.zeros(2)}
  state = online_probe.ProbeState(params, optax.adam(probe.learning_rate).init(params))
  state, _ = probe.update(state, endpoints, jnp.array([0, 1]))
  # Adam's first step has the sign of the gradient: each class gains its own features.
  higher = (maps[1] - maps[0]).reshape(2, 2, 2, 2, 3).mean((1, 3)).reshape(12) > 0
  np.testing.assert_array_equal(state.params['kernel'][:, 1] > 0, higher)
  with pytest.raises(errors.UserError, match=r"online_endpoint is 'stage7'"):
    online_probe.OnlineProbe(2, 'stage7').update(state, endpoints, jnp.array([0, 1]))
