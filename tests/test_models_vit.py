"""Tests ViTs: numbers of parameters, every layer by hand in NumPy, what is frozen."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import numpy_vit
import pytest
import tiny
from flax import traverse_util

from ssl_jax import errors, models
from ssl_jax.jobs import pretrain
from ssl_jax.models import vit
from ssl_jax.performance import roofline
from ssl_jax.train import optim
from ssl_jax.weights import timm_vit

TINY = {'width': 1 / 24, 'heads': 2, 'depth': 2, 'patch': 4}  # 8 channels


def shapes(module, size=32):
  return jax.eval_shape(
      lambda key: module.init_with_output(key, jnp.zeros((2, size, size, 3)),
                                          train=False), jax.random.key(0))


def count(tree):
  return sum(x.size for x in jax.tree.leaves(tree))


# timm's published numbers have a classifier of 1000 classes.
@pytest.mark.parametrize('name, fields, size, expected', [
    ('vit_tiny', {}, 224, 5_717_416 - 193_000),
    ('vit_small', {}, 224, 22_050_664 - 385_000),
    ('vit_base', {}, 224, 86_567_656 - 769_000),
    # 36 rows fewer of the projection, 64 vectors in place of 196 and a class token.
    ('vit_tiny', {'patch': 4}, 32, 5_524_416 - 192 * (3 * (256 - 16) + 197 - 65)),
    # 4 registers, and no position embedding of the class token.
    ('vit_tiny', {'registers': 4}, 224, 5_524_416 + 4 * 192 - 192)])
def test_parameter_counts(name, fields, size, expected):
  _, variables = shapes(models.build(name, **fields), size)
  assert variables.keys() == {'params'} and count(variables) == expected


@pytest.mark.parametrize('registers', [0, 3])
def test_endpoints(registers):
  endpoints, _ = shapes(models.build('vit_small', patch=8, registers=registers,
                                     dtype=jnp.bfloat16))
  maps = ('stem', *(f'block{i}' for i in range(1, 13)), 'tokens')
  assert {name: x.shape for name, x in endpoints.items()} == {
      **dict.fromkeys(maps, (2, 4, 4, 384)), 'pooled': (2, 384)}
  assert {x.dtype for x in endpoints.values()} == {jnp.dtype('float32')}


@pytest.mark.parametrize('registers', [0, 3])
def test_every_layer_by_hand(registers):
  module = models.build('vit_tiny', **TINY, registers=registers)
  rng = np.random.default_rng(0)
  images = rng.normal(size=(3, 12, 8, 3)).astype(np.float32)
  variables = jax.eval_shape(
      lambda: module.init(jax.random.key(0), images, train=False))
  params = jax.tree.map(  # not 0 and 1, so that each parameter has an effect
      lambda x: np.asarray(rng.normal(size=x.shape) / 2 + (x.ndim == 1), np.float32),
      variables['params'])
  got = jax.jit(lambda v: module.apply(v, images, train=True))({'params': params})
  want = numpy_vit.vit(images, timm_vit.to_timm({'params': {'encoder': params}}), 2)
  names = ['stem', 'block1', 'block2', 'tokens']
  assert got.keys() == {*names, 'pooled'}
  for name, tokens in zip(names, want, strict=True):
    np.testing.assert_allclose(
        got[name], tokens[:, 1 + registers:].reshape(3, 3, 2, 8), rtol=1e-5, atol=1e-5,
        err_msg=name)
  np.testing.assert_allclose(got['pooled'], want[-1][:, 0], rtol=1e-5, atol=1e-5)


def test_fixed_positions_are_sines_and_cosines_of_row_and_column():
  table = vit.sincos(2, 3, 8).reshape(2, 3, 8)
  for i in range(2):
    for j in range(3):
      want = [f(n * w) for n in (i, j) for f in (np.sin, np.cos) for w in (1, 0.01)]
      np.testing.assert_allclose(table[i, j], want, rtol=1e-6)
  module = models.build('vit_tiny', **TINY, position='sincos')
  position = jax.jit(lambda: module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)),
                                         train=False))()['params']['stem']['position']
  np.testing.assert_array_equal(position[0], 0)  # of the class token
  np.testing.assert_array_equal(position[1:], vit.sincos(2, 2, 8))


def test_initial_weights_are_those_of_moco_v3():
  module = models.build('vit_tiny', depth=1, patch=4)
  params = jax.jit(lambda key: module.init(key, jnp.zeros((1, 8, 8, 3)), train=False))(
      jax.random.key(0))['params']
  sums = {'stem/patch': 48 + 192, 'block1/qkv': 2 * 192, 'block1/proj': 2 * 192,
          'block1/fc1': 5 * 192, 'block1/fc2': 5 * 192}  # of inputs and outputs
  flat = {'/'.join(path): np.asarray(x) for path, x in
          traverse_util.flatten_dict(params).items()}
  for name, both in sums.items():
    bound = np.sqrt(6 / both)
    assert 0.99 * bound < np.abs(flat[f'{name}/kernel']).max() <= bound
    assert not flat[f'{name}/bias'].any()
  assert 0 < np.abs(flat['stem/class_token']).max() < 1e-5
  np.testing.assert_allclose(flat['stem/position'].std(), 0.02, rtol=0.1)


@pytest.mark.parametrize('name', ['lars', 'sgd', 'adam', 'adamw'])
def test_what_is_frozen_neither_moves_nor_decays(name):
  module = models.build('vit_tiny', **TINY, position='sincos', freeze_patch=True)
  _, variables = shapes(module, 8)
  params = {'encoder': jax.tree.map(lambda x: jnp.full(x.shape, 0.5),
                                    variables['params'])}
  frozen = models.frozen(module)
  assert frozen == ('patch', 'position')
  plain = optim.Optim(name=name, weight_decay=0.1, weight_decay_mask='all')
  tx, _ = optim.build(optim.with_frozen(plain, frozen), batch_size=2, num_examples=8,
                      total_steps=4)

  def two_steps(params):
    state = tx.init(params)
    for _ in range(2):
      updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
      params = jax.tree.map(jnp.add, params, updates)
    return params
  after = traverse_util.flatten_dict(jax.jit(two_steps)(params))
  for path, x in after.items():
    still = 'patch' in path or 'position' in path
    assert np.all((np.asarray(x) == 0.5) == still), path


def test_nothing_is_frozen_by_default():
  assert not models.frozen(models.build('vit_tiny'))
  assert not models.frozen(models.build('resnet8'))


def test_tokens_and_normalisation_do_not_decay():
  decays = optim.WEIGHT_DECAY_MASKS['kernels']
  _, variables = shapes(models.build('vit_tiny', depth=1, patch=8, registers=2))
  for path in traverse_util.flatten_dict({'encoder': variables['params']}):
    assert decays(list(path)) == (path[-1] == 'kernel'), path


def test_a_run_leaves_the_patch_projection_random():
  fields = tiny.config()
  fields['model'] = {'name': 'vit_tiny', **TINY, 'depth': 1, 'freeze_patch': True}
  run = pretrain.prepare(pretrain.parse(fields), fields, pathlib.Path(), 'a')
  shapes = jax.eval_shape(
      lambda key: run.train_step.init(key, (8, 8, 3)), jax.random.key(0))
  params = jax.tree.map(lambda x: np.ones(x.shape, np.float32), shapes.variables.params)
  updates, _ = jax.jit(lambda p: run.tx.update(p, run.tx.init(p), p))(params)
  stem = updates['encoder']['stem']
  assert not stem['patch']['kernel'].any() and stem['class_token'].any()


def test_all_matrix_products_are_counted():
  """The operations of a block are 12 N D^2 for its layers and 2 N^2 D for attention."""
  layers = roofline.network(models.build('vit_tiny', depth=3), (224, 224, 3))
  tokens, width = 197, 192
  want = 196 * 768 * width + 3 * (12 * tokens * width**2 + 2 * tokens**2 * width)
  assert sum(layer.macs for layer in layers) == want


@pytest.mark.parametrize('fields, words', [
    ({'patch': 0}, ['config.model.patch is 0']),
    ({'registers': -1}, ['config.model.registers is -1']),
    ({'heads': 5}, ['config.model.heads is 5', '--config.model.heads=3']),
    ({'width': 0.3}, ['config.model.width is 0.3', '57.6']),
    ({'position': 'none'}, ['config.model.position', "'sincos'"]),
    ({'stem': 'cifar'}, ['config.model.stem'])])
def test_mistakes_are_explained(fields, words):
  with pytest.raises(errors.UserError) as error:
    models.build('vit_tiny', **fields)
  for word in words:
    assert word in str(error.value)


def test_images_of_other_sizes_are_refused_with_a_size_that_works():
  module = models.build('vit_tiny', **{**TINY, 'patch': 16})
  with pytest.raises(errors.UserError, match='24 x 24 pixels; .*model.patch=12'):
    shapes(module, 24)
  shapes(models.build('vit_tiny', **{**TINY, 'patch': 12}), 24)
  _, variables = shapes(module, 32)
  with pytest.raises(errors.UserError, match='for 4 patches.* 3 x 3 = 9; .*augment.si'):
    jax.eval_shape(lambda v: module.apply(v, jnp.zeros((1, 48, 48, 3)), train=False),
                   variables)
