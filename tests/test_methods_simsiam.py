"""SimSiam: the published heads, the stopped gradient, the predictor's own rate."""

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
  return tiny.config('simsiam') | {
      'model': {'name': 'stub'},
      'projector': {'hidden': 16, 'dim': 4, 'last_layer': 'bn'},
      'predictor': {'hidden': 12}}


def test_parameters_are_those_of_the_papers_code():
  """Projector: BatchNorm at the end without parameters. Predictor: a bias there."""
  method = methods.build(config(), 0)
  variables = jax.eval_shape(lambda key: method.init(key, (8, 8, 3)), jax.random.key(0))
  shapes = {jax.tree_util.keystr(path, simple=True, separator='/'): x.shape
            for path, x in jax.tree_util.tree_leaves_with_path(variables.params)
            if path[0].key != 'encoder'}
  assert shapes == {
      'projector/dense1/kernel': (6, 16), 'projector/bn1/scale': (16,),
      'projector/bn1/bias': (16,), 'projector/dense2/kernel': (16, 4),
      'predictor/dense1/kernel': (4, 12), 'predictor/bn1/scale': (12,),
      'predictor/bn1/bias': (12,), 'predictor/dense2/kernel': (12, 4),
      'predictor/dense2/bias': (4,)}
  assert set(variables.model_state['projector']) == {'bn1', 'bn2'}


def test_loss_and_gradient_hold_the_targets_constant():
  method = methods.build(config(), 0)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})

  def forward(params):
    return method.network.apply(
        {'params': params, 'batch_stats': variables.model_state}, views, train=True,
        mutable=['batch_stats'])[0]
  unit = lambda x: (x / jnp.linalg.norm(x, axis=-1, keepdims=True)).reshape(4, 2, -1)
  z = unit(forward(variables.params)['projection'])  # a constant from here on

  def expected(params):
    return -(unit(forward(params)['prediction']) * z[:, ::-1]).sum(-1).mean()

  loss, grads = jax.jit(jax.value_and_grad(lambda p: method.loss(
      p, variables, views, -jnp.ones(4, jnp.int32))[0]))(variables.params)
  value, constant = jax.jit(jax.value_and_grad(expected))(variables.params)
  np.testing.assert_allclose(loss, value, rtol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
               grads, constant)


def test_the_predictor_keeps_its_rate_to_the_end():
  """Plain SGD: at the last of ten steps the others hardly move."""
  fields = config()
  fields['optim'] = {'name': 'sgd', 'learning_rate': 0.1, 'nesterov': False,
                     'momentum': 0., 'learning_rate_scaling': 'none',
                     'schedule': 'cosine', 'constant': ['predictor']}
  method, tx, _, _ = tiny.parts(fields)
  variables = jax.eval_shape(lambda key: method.init(key, (8, 8, 3)), jax.random.key(0))
  params = jax.tree.map(lambda x: jnp.ones(x.shape), variables.params)
  state = tx.init(params)
  for step in range(10):
    updates, state = tx.update(params, state, params)
    rate = 0.05 * (1 + np.cos(np.pi * step / 10))
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
      own = 0.1 if path[0].key == 'predictor' else rate
      np.testing.assert_allclose(update, -own, rtol=1e-5)


def test_a_field_sets_the_number_of_views():
  fields = config() | {'method': {'name': 'simsiam', 'views_per_image': 4}}
  method = methods.build(fields, 0)
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  assert len(views) == 16 and method.views_per_image == 4
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  loss, output = jax.jit(method.loss)(variables.params, variables, views,
                                      -jnp.ones(4, jnp.int32))
  p, z = (np.asarray(output.endpoints[name], np.float64).reshape(4, 4, -1)
          for name in ('prediction', 'projection'))
  others = (z.sum(1, keepdims=True) - z) / 3
  cosine = (p * others).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(
      others, axis=-1)
  np.testing.assert_allclose(loss, -cosine.mean(), rtol=1e-4)
