"""Tests distillation around methods: the loss by hand, and a teacher that stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny
import tiny_compression

from ssl_jax import errors, methods
from ssl_jax.jobs import finetune


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config(method='simclr', **section):
  return tiny_compression.pretraining(method, **{'distillation': 2., **section})


def same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def other_encoder(method):
  """Returns a network that differs from the one of `tiny.train`."""
  return method.encoder_variables(method.init(jax.random.key(7), (8, 8, 3)))


def test_the_loss_adds_the_distance_from_the_features_of_the_teacher():
  method = methods.build(config(bits=None, sparsity=0.), 4).inner
  start = method.init(jax.random.key(0), (8, 8, 3))
  teacher = other_encoder(method)
  # The student is no longer the network it started as.
  variables = method.with_pretrained(start, teacher).replace(params=start.params)
  views = jax.random.normal(jax.random.key(1), (8, 8, 8, 3))
  labels = jnp.zeros(4, jnp.int32)
  loss, output = method.loss(variables.params, variables, views, labels)
  inner = method.inner_variables(variables)
  alone, plain = method.inner.loss(inner.params, inner, views, labels)
  h = np.asarray(plain.endpoints['pooled'], np.float64)
  t = np.asarray(method.network.apply(teacher, views, train=False)['pooled'],
                 np.float64)
  unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
  distance = np.square(unit(h) - unit(t)).sum(1).mean()
  assert distance > 0.01
  np.testing.assert_allclose(output.metrics['distillation'], distance, rtol=1e-5)
  np.testing.assert_allclose(loss, alone + 2 * distance, rtol=1e-5)
  same(output.model_state, plain.model_state)


@pytest.mark.parametrize('name', ['simclr', 'byol'])
def test_the_teacher_is_the_first_encoder_in_full_precision(name):
  """BYOL also has variables of its own that must move on."""
  first, _, _ = tiny.train(config(name), steps=0)
  state, rows, _ = tiny.train(config(name), steps=5)
  inner = lambda state: state.variables.non_trainable['inner']
  same(inner(state)['teacher'], inner(first)['teacher'])
  same(inner(first)['teacher']['params']['encoder'],
       first.variables.params['encoder'])
  assert all(row['distillation'] > 0 and np.isfinite(row['loss']) for row in rows)
  if name == 'byol':
    assert any(jax.tree.leaves(jax.tree.map(
        lambda a, b: (a != b).any(), inner(first)['inner'], inner(state)['inner'])))


def test_a_large_weight_keeps_the_features_closer_to_those_of_the_teacher():
  rows = {weight: tiny.train(config(distillation=weight), steps=5)[1]
          for weight in (1e-9, 100.)}
  assert rows[100.][-1]['distillation'] < rows[1e-9][-1]['distillation']


def test_the_teacher_is_not_saved_with_the_encoder():
  method = methods.build(config(), 4)
  variables = method.init(jax.random.key(0), (8, 8, 3))
  plain = methods.build({**config(), 'compression': None}, 4)
  shapes = lambda tree: jax.tree.map(jnp.shape, tree)
  assert shapes(method.encoder_variables(variables)) == shapes(
      plain.encoder_variables(plain.init(jax.random.key(0), (8, 8, 3))))


def test_fine_tuning_has_no_teacher():
  fields = {**tiny_compression.fine_tuning(), 'compression': {
      **tiny_compression.SECTION, 'distillation': 1.}}
  with pytest.raises(errors.UserError, match='distillation is 1.*ssl_jax.compress'):
    finetune.parse(fields)


def test_a_method_with_further_inputs_is_refused():
  with pytest.raises(errors.UserError, match='set --config.compression.distillation=0'):
    tiny.train(config('lejepa'), steps=1)
