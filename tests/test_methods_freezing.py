"""Tests which modules are frozen, and that their variables do not change."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
from flax import traverse_util
from tiny_finetune import SHAPE, build, drawn, flat

from ssl_jax.jobs import finetune
from ssl_jax.methods import freezing
from ssl_jax.methods.network import Network

FROZEN = {'far': {'near'}, 'head': {'near', 'far'}}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


@pytest.mark.parametrize('fields, stages, trained, left', [
    ({'model': 'resnet8'}, 'stem stage1 stage2 stage3 head', '', 'projector'),
    ({'model': 'resnet8', 'endpoint': 'stage2'}, 'stem stage1 stage2 head', '',
     'encoder/stage3'),
    ({'model': 'resnet8', 'endpoint': 'projection1'},
     'stem stage1 stage2 stage3 projector head', 'projector/dense1',
     'projector/dense2'),
    ({'model': 'resnet8', 'endpoint': 'projection0'},
     'stem stage1 stage2 stage3 head', '', 'projector/dense1'),
    ({'model': 'nin', 'pretrain': 'rotnet', 'endpoint': 'block2', 'pool': 'none',
      'head': 'conv_block', 'model_fields': (('width', 1 / 32),)},
     'block1 block2 head', '', 'network/head'),
    ({'model': 'staged', 'pretrain': 'supervised'}, 'near far head', '',
     'network/head')])
def test_what_the_endpoint_does_not_depend_on_is_left_alone(fields, stages, trained,
                                                            left):
  method = build(**fields)
  assert method.stages(SHAPE) == tuple(stages.split())
  variables = jax.eval_shape(lambda key: method.init(key, SHAPE), jax.random.key(0))
  params = ['/'.join(p) for p in traverse_util.flatten_dict(variables.params)]
  frozen = ['/'.join(p) for p in traverse_util.flatten_dict(
      variables.non_trainable['params'])]
  assert any(trained in p for p in params)
  assert any(left in p for p in frozen) and not any(left in p for p in params)


@pytest.mark.parametrize('freeze_until', FROZEN)
def test_frozen_bits_stay_and_all_others_move(freeze_until):
  method = build(freeze_until)
  variables = start = drawn(method)
  views = jax.random.uniform(jax.random.key(1), (8, *SHAPE))

  @jax.jit
  def step(variables):
    grads, aux = jax.grad(method.loss, has_aux=True)(
        variables.params, variables, views, jnp.arange(8) % 4)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, variables.params, grads)
    return method.after_update(
        variables.replace(params=params, model_state=aux.model_state), 0)

  for _ in range(3):
    variables = step(variables)
  before, after = (flat(method.encoder_variables(v)) for v in (start, variables))
  stages = {p for p in before if 'projector' not in p}
  stay = {p for p in before if (before[p] == after[p]).all()}
  assert stay == (before.keys() - stages) | {
      p for p in stages if any(f'/{stage}/' in p for stage in FROZEN[freeze_until])}
  assert (finetune.digest(variables.non_trainable)
          == finetune.digest(start.non_trainable))


def test_a_module_without_parameters_follows_its_stage():
  """Dropout in a stage that is trained drops; in a frozen one it does not."""
  class Drop(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
      return 0 * x if train else x

  class Stage(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
      return Drop(name='drop')(nn.Dense(3, name='dense')(x), train=train) + 1

  class Encoder(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
      near = Stage(name='near')(x, train=train)
      far = Stage(name='far')(near, train=train)
      return {'near': near, 'far': far, 'pooled': far.mean((1, 2))}

  method = build('far')
  method = dataclasses.replace(method, network=method.network.clone(
      network=Network(encoder=Encoder())))
  variables = drawn(method)
  _, aux = jax.jit(method.loss)(variables.params, variables, jnp.ones((2, *SHAPE)),
                                jnp.zeros(2, jnp.int32))
  endpoints = aux.endpoints
  assert np.ptp(endpoints['near']) > 0 and np.ptp(endpoints['far']) == 0


def test_modules_are_all_prefixes_of_the_paths_of_parameters():
  params = {'encoder': {'conv': {'kernel': 0}, 'bn': {'scale': 0}}, 'head': {'bias': 0}}
  assert freezing.modules(params) == {
      (), ('encoder',), ('encoder', 'conv'), ('encoder', 'bn'), ('head',)}


def test_leaves_come_in_the_order_of_use_and_without_those_that_do_not_matter():
  tree = {'a': {'w': jnp.ones(2)}, 'b': {'w': jnp.ones(2)}, 'c': {'w': jnp.ones(2)},
          'd': {'w': jnp.ones(2)}}

  def used(tree):
    x = jnp.sin(tree['c']['w'])
    unused = jnp.exp(x * tree['d']['w'])
    del unused
    return x * tree['a']['w'] + tree['c']['w']
  assert freezing.in_order_of_use(used, tree) == [('c', 'w'), ('a', 'w')]


def test_chosen_modules_are_called_in_evaluation_mode():
  class Mode(nn.Module):
    def __call__(self, *, train):
      return train

  class Both(nn.Module):
    def setup(self):
      self.near, self.far = Mode(), Mode()

    def __call__(self, *, train):
      return self.near(train=train), self.far(train=train)

  def modes(frozen):
    with nn.intercept_methods(freezing.in_evaluation_mode(frozen)):
      return Both().apply({}, train=True)
  assert modes(set()) == (True, True)
  assert modes({('near',)}) == (False, True)
  assert modes({()}) == (False, False)  # the whole, and so all of its parts
