import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors, models
from ssl_jax.models import heads


def count(module, dim):
  variables = jax.eval_shape(
      lambda key: module.init(key, jnp.zeros((2, dim)), train=False),
      jax.random.key(0))
  return sum(x.size for x in jax.tree.leaves(variables.get('params', {})))


# Dense layers without bias, two BatchNorm vectors each, one for the last.
@pytest.mark.parametrize('dim, layers, expected', [
    (2048, 2, 4_460_672), (2048, 3, 8_659_072), (512, 2, 328_832),
    (512, 3, 592_000), (512, 1, 512 * 128 + 128), (512, 0, 0)])
def test_parameter_counts(dim, layers, expected):
  assert count(models.build_projector(layers=layers), dim) == expected


def test_parameter_count_without_batch_norm():
  module = models.build_projector(hidden=16, dim=8, batch_norm=False)
  assert count(module, 32) == 32 * 16 + 16 + 16 * 8 + 8


def normalised(x):
  return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


@pytest.mark.parametrize('batch_norm, last_layer', [
    (True, 'bn_scale'), (False, 'bn_scale'), (True, 'bn'), (True, 'bias'),
    (True, 'none')])
def test_every_layer_by_hand(batch_norm, last_layer, key):
  module = models.build_projector(layers=3, hidden=7, dim=4, batch_norm=batch_norm,
                                  last_layer=last_layer)
  h = jax.random.normal(key, (16, 5))
  variables = jax.jit(lambda: module.init(key, h, train=False))()
  params = jax.tree.map(lambda p: p + 0.1, variables['params'])
  got, _ = jax.jit(lambda v: module.apply(
      v, h, train=True, mutable=['batch_stats']))(variables | {'params': params})
  params, x = jax.tree.map(np.asarray, params), np.asarray(h, np.float64)
  np.testing.assert_array_equal(got['projection0'], h)
  for i in (1, 2, 3):
    x = x @ params[f'dense{i}']['kernel']
    if not batch_norm or i == 3 and last_layer == 'bias':
      x = x + params[f'dense{i}']['bias']
    elif i < 3:
      x = normalised(x) * params[f'bn{i}']['scale'] + params[f'bn{i}']['bias']
    elif last_layer == 'bn_scale':
      x = normalised(x) * params['bn3']['scale']
    elif last_layer == 'bn':
      x = normalised(x)
    x = np.maximum(x, 0) if i < 3 else x
    np.testing.assert_allclose(got[f'projection{i}'], x, rtol=1e-4, atol=1e-4)
  assert set(got) == {'projection', *(f'projection{i}' for i in range(4))}
  np.testing.assert_array_equal(got['projection'], got['projection3'])


def test_without_layers_z_is_h(key):
  h = jax.random.normal(key, (4, 5))
  got, variables = models.build_projector(layers=0).init_with_output(
      key, h, train=True)
  np.testing.assert_array_equal(got['projection'], h)
  assert not variables


def test_outputs_are_float32_when_computing_in_bfloat16():
  module = models.build_projector(dtype=jnp.bfloat16)
  got, variables = jax.eval_shape(
      lambda key: module.init_with_output(key, jnp.zeros((4, 8)), train=False),
      jax.random.key(0))
  for leaf in jax.tree.leaves((got, variables)):
    assert leaf.dtype == jnp.float32


# ResNet-50: 2048 -> 4096 -> 256 -> 4096 -> 256 of BYOL's code, without the bias that it
# has before a BatchNorm; SimSiam's 2048 -> 512 -> 2048.
@pytest.mark.parametrize('module, dim, expected', [
    (lambda: models.build_projector(hidden=4096, dim=256, last_layer='none'), 2048,
     2048 * 4096 + 2 * 4096 + 4096 * 256),
    (lambda: models.build_predictor(256, hidden=4096, last_layer='none'), 256,
     256 * 4096 + 2 * 4096 + 4096 * 256),
    (lambda: models.build_projector(layers=3, dim=2048, last_layer='bn'), 2048,
     3 * 2048 * 2048 + 4 * 2048),
    (lambda: models.build_predictor(2048, hidden=512), 2048,
     2 * 2048 * 512 + 2 * 512 + 2048)])
def test_parameter_counts_of_published_heads(module, dim, expected):
  assert count(module(), dim) == expected


def test_a_predictor_names_its_endpoints_and_fields(key):
  out = jax.eval_shape(lambda: models.build_predictor(4, hidden=3).init_with_output(
      key, jnp.zeros((2, 4)), train=True)[0])
  assert {name: x.shape[-1] for name, x in out.items()} == {
      'prediction0': 4, 'prediction1': 3, 'prediction2': 4, 'prediction': 4}
  with pytest.raises(errors.UserError, match='config.predictor.dim is not a field'):
    models.build_predictor(4, **{'dim': 8})


def test_linear_head(key):
  features = jax.random.normal(key, (4, 300), jnp.bfloat16)
  logits, variables = heads.LinearHead(50).init_with_output(
      key, features, train=True)
  kernel, bias = (np.asarray(variables['params']['dense'][k], np.float64)
                  for k in ('kernel', 'bias'))
  assert logits.dtype == jnp.float32
  np.testing.assert_allclose(
      logits, np.asarray(features, np.float64) @ kernel + bias, atol=1e-5)
  np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.05)
  assert not bias.any()


# RotNet's classifiers on 8 x 8 x 192, with the BatchNorm of the hidden layers.
@pytest.mark.parametrize('name, shape, fields, expected', [
    ('linear', (12288,), {}, 12288 * 10 + 10),
    ('mlp', (12288,), {}, 2_500_410),
    ('mlp', (12288,), {'hidden': 3}, 12288 * 3 + 9 + 12 + 30 + 10),
    ('conv_block', (8, 8, 192), {}, 408_586),
    ('conv_block', (8, 8, 192), {'width': 2},
     192 * 9 * 2 + 2 * 4 + 3 * 4 + 2 * 10 + 10),
])
def test_parameter_counts_of_probes(name, shape, fields, expected):
  module = models.build_head(name, 10, **fields)
  variables = jax.eval_shape(
      lambda key: module.init(key, jnp.zeros((2, *shape)), train=False),
      jax.random.key(0))
  assert sum(x.size for x in jax.tree.leaves(variables['params'])) == expected


def test_mlp_of_many_classes_is_2048_wide():
  assert models.build_head('mlp', 1000).hidden == 2048


def test_mlp_by_hand(key):
  module = models.build_head('mlp', 3)
  x = jax.random.normal(key, (16, 5))
  variables = jax.jit(lambda: module.init(key, x, train=False))()
  params = jax.tree.map(lambda p: np.asarray(p) + 0.1, variables['params'])
  got, _ = jax.jit(lambda v: module.apply(
      v, x, train=True, mutable=['batch_stats']))({**variables, 'params': params})
  x = np.asarray(x, np.float64)
  for i in (1, 2):
    x = normalised(x @ params[f'dense{i}']['kernel'])
    x = np.maximum(x * params[f'bn{i}']['scale'] + params[f'bn{i}']['bias'], 0)
  want = x @ params['dense3']['kernel'] + params['dense3']['bias']
  np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('name, shape', [('mlp', (50,)), ('conv_block', (4, 4, 16))])
def test_probes_start_by_fan_out(name, shape, key):
  """RotNet's code: N(0, 2 / (k^2 outputs)) and no bias."""
  module = models.build_head(name, 100)
  params = jax.jit(lambda: module.init(
      key, jnp.zeros((2, *shape)), train=False))()['params']
  for path, x in jax.tree_util.tree_leaves_with_path(params):
    if x.ndim > 1:
      fan_out = x.shape[-1] * np.prod(x.shape[:-2])
      np.testing.assert_allclose(x.std(), np.sqrt(2 / fan_out), rtol=0.1)
      assert np.abs(x).max() > 3 * np.sqrt(2 / fan_out)  # not truncated
    elif path[-1].key == 'bias':
      assert not x.any()


@pytest.mark.parametrize('name, fields, words', [
    ('lin', {}, ["config.head.name is 'lin'", 'conv_block, linear, mlp']),
    ('linear', {'width': 3}, ['config.head.width is not a field', 'accepts none']),
    ('mlp', {'hidden': 0}, ['config.head.hidden is 0', 'from 1 up']),
    ('conv_block', {'width': 1.5}, ['config.head.width is 1.5']),
])
def test_mistakes_about_probes_are_explained(name, fields, words):
  with pytest.raises(errors.UserError) as error:
    models.build_head(name, 10, **fields)
  for word in words:
    assert word in str(error.value)


@pytest.mark.parametrize('fields, words', [
    ({'layer': 3}, ['config.projector.layer ', "'layers'"]),
    ({'dim': 0}, ['config.projector.dim is 0', 'from 1 up']),
    ({'layers': -1}, ['config.projector.layers is -1', 'from 0 up']),
    ({'hidden': 0.5}, ['config.projector.hidden is 0.5']),
    ({'last_layer': 'norm'}, ["config.projector.last_layer is 'norm'", 'bn_scale']),
    ({'batch_norm': False, 'last_layer': 'bn'}, ["last_layer is 'bn'", 'batch_norm']),
])
def test_mistakes_are_explained(fields, words):
  with pytest.raises(errors.UserError) as error:
    models.build_projector(**fields)
  for word in words:
    assert word in str(error.value)
