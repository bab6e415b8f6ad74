import jax
import jax.numpy as jnp
import numpy as np
import numpy_networks
import pytest

from ssl_jax import errors, models
from ssl_jax.models import resnet


def shapes(module, size=32):
  """Returns the shapes of the variables without computing them."""
  images = jnp.zeros((2, size, size, 3))
  return jax.eval_shape(lambda key: module.init(key, images, train=False),
                        jax.random.key(0))


def initialised(module, images):
  return jax.jit(lambda x: module.init(jax.random.key(0), x, train=False))(images)


def count(tree):
  return sum(x.size for x in jax.tree.leaves(tree))


def randomised(tree, seed=0):
  """Returns parameters unlike the initial 0s and 1s, so that each has an effect."""
  leaves, structure = jax.tree.flatten(tree)
  rng = np.random.default_rng(seed)
  return jax.tree.unflatten(structure, [
      np.asarray(0.5 * rng.normal(size=x.shape) + (x.ndim == 1), np.float32)
      for x in leaves])


# Counted from the layers of google-research/simclr, and of torchvision if different.
@pytest.mark.parametrize('name, fields, expected', [
    ('resnet18', {'stem': 'cifar', 'shortcut': 'google'}, 11_173_056),
    ('resnet18', {'stem': 'cifar', 'shortcut': 'torch'}, 11_168_832),
    ('resnet18', {'shortcut': 'google'}, 11_180_736),
    ('resnet18', {'shortcut': 'torch'}, 11_176_512),
    ('resnet34', {'stem': 'cifar', 'shortcut': 'google'}, 21_281_216),
    ('resnet34', {'stem': 'cifar', 'shortcut': 'torch'}, 21_276_992),
    ('resnet50', {}, 23_508_032),
    ('resnet50', {'stem': 'cifar'}, 23_500_352),
    ('resnet50', {'width': 2}, 93_907_072),
    ('resnet50', {'width': 2, 'stem': 'cifar'}, 93_891_712),
    ('resnet50', {'width': 4}, 375_378_176),
    ('resnet50', {'width': 4, 'stem': 'cifar'}, 375_347_456),
    ('resnet50', {'sk_ratio': 0.0625}, 35_215_584),
    ('resnet50', {'sk_ratio': 0.0625, 'width': 2}, 140_306_048),
    ('resnet101', {}, 42_500_160),
    ('resnet152', {}, 58_143_808),
    ('resnet152', {'sk_ratio': 0.0625, 'width': 3}, 794_704_160),
    # He et al. 2016, table 6: 0.27, 0.46, 0.66 and 0.85 M with the classifier.
    ('resnet20', {}, 269_722 - 650),
    ('resnet20', {'shortcut': 'torch'}, 269_722 - 650 + 16 * 32 + 64 + 32 * 64 + 128),
    ('resnet32', {}, 464_154 - 650),
    ('resnet44', {}, 658_586 - 650),
    ('resnet56', {}, 853_018 - 650),
])
def test_parameter_counts(name, fields, expected):
  assert count(shapes(models.build(name, **fields))['params']) == expected


def test_resnet200_has_the_depth_it_claims():
  params = shapes(models.build('resnet200'))['params']
  convolutions = [p for p, _ in jax.tree_util.tree_leaves_with_path(params)
                  if 'kernel' in str(p[-1]) and 'shortcut' not in str(p)]
  assert len(convolutions) == 199  # and the classifier's


def test_names_in_checkpoints():
  paths = {jax.tree_util.keystr(path, simple=True, separator='/')
           for path, _ in jax.tree_util.tree_leaves_with_path(
               shapes(models.build('resnet50', sk_ratio=0.0625, width=0.125)))}
  assert {
      'params/stem/conv1/kernel', 'params/stem/bn3/scale',
      'params/stage1/block1/conv1/kernel', 'params/stage1/block1/bn3/bias',
      'params/stage2/block1/shortcut/conv/kernel',
      'params/stage2/block1/shortcut/bn/scale',
      'params/stage4/block3/sk/conv/kernel', 'params/stage4/block3/sk/mix/kernel',
      'batch_stats/stage4/block3/sk/bn_reduce/mean'} <= paths
  assert not any('bn' not in p for p in paths if p.endswith(('scale', 'bias')))


@pytest.mark.parametrize('name, fields, expected', [
    ('resnet18', {'width': 0.125}, {
        'stem': (2, 8, 8, 8), 'stage1': (2, 8, 8, 8), 'stage2': (2, 4, 4, 16),
        'stage3': (2, 2, 2, 32), 'stage4': (2, 1, 1, 64), 'pooled': (2, 64)}),
    ('resnet50', {'width': 0.125, 'stem': 'cifar'}, {
        'stem': (2, 32, 32, 8), 'stage1': (2, 32, 32, 32),
        'stage2': (2, 16, 16, 64), 'stage3': (2, 8, 8, 128),
        'stage4': (2, 4, 4, 256), 'pooled': (2, 256)}),
    ('resnet20', {}, {
        'stem': (2, 32, 32, 16), 'stage1': (2, 32, 32, 16),
        'stage2': (2, 16, 16, 32), 'stage3': (2, 8, 8, 64), 'pooled': (2, 64)}),
])
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_endpoints_and_dtypes(name, fields, expected, dtype):
  module = models.build(name, dtype=dtype, **fields)
  def forward(key, images):
    variables = module.init(key, images, train=False)
    return variables, *module.apply(variables, images, train=True,
                                    mutable=['batch_stats'])
  variables, endpoints, updated = jax.eval_shape(
      forward, jax.random.key(0), jnp.zeros((2, 32, 32, 3), jnp.float32))
  assert {k: v.shape for k, v in endpoints.items()} == expected
  assert endpoints.pop('pooled').dtype == jnp.float32
  assert {v.dtype for v in endpoints.values()} == {jnp.dtype(dtype)}
  for leaf in jax.tree.leaves((variables, updated)):
    assert leaf.dtype == jnp.float32


@pytest.mark.parametrize('bottleneck, stem, shortcut, sk_ratio', [
    (False, 'cifar', 'identity', 0.0),
    (False, 'cifar', 'google', 0.0),
    (True, 'imagenet', 'torch', 0.0),
    (True, 'imagenet', 'google', 0.0625),
])
def test_forward_pass_by_hand(bottleneck, stem, shortcut, sk_ratio):
  size = 16 if stem == 'imagenet' else 8
  module = resnet.ResNet((2, 1), 4, bottleneck, stem, shortcut, sk_ratio)
  images = np.random.default_rng(1).normal(size=(3, size, size, 3))
  images = images.astype(np.float32)
  variables = jax.tree.map(lambda s: jnp.zeros(s.shape), shapes(module, size))
  params = randomised(variables['params'])
  got, _ = jax.jit(lambda p, x: module.apply(
      variables | {'params': p}, x, train=True, mutable=['batch_stats']))(
          params, images)
  expected = numpy_networks.resnet(images, params, stem == 'imagenet')
  assert got.keys() == expected.keys()
  for name in expected:
    np.testing.assert_allclose(got[name], expected[name], rtol=2e-4, atol=2e-4,
                               err_msg=name)


def test_batch_statistics():
  """They are 0.9 old + 0.1 new with the biased variance; evaluation uses them."""
  module = resnet.ResNet((1,), 4, False, 'cifar', 'torch')
  images = np.random.default_rng(2).normal(1, 2, (3, 8, 8, 3)).astype(np.float32)
  variables = initialised(module, images)
  _, updated = jax.jit(lambda v, x: module.apply(
      v, x, train=True, mutable=['batch_stats']))(variables, images)
  kernel = np.asarray(variables['params']['stem']['conv1']['kernel'])
  y = numpy_networks.conv(images, kernel)
  stats = jax.tree.map(np.asarray, updated['batch_stats']['stem']['bn1'])
  np.testing.assert_allclose(stats['mean'], 0.1 * y.mean((0, 1, 2)), rtol=1e-4)
  np.testing.assert_allclose(stats['var'], 0.9 + 0.1 * y.var((0, 1, 2)), rtol=1e-4)
  got = jax.jit(lambda v, x: module.apply(v, x, train=False))(
      {'params': variables['params'], **updated}, images)
  expected = np.maximum(0, (y - stats['mean']) / np.sqrt(stats['var'] + 1e-5))
  np.testing.assert_allclose(got['stem'], expected, rtol=1e-4, atol=1e-5)


def test_residual_branches_start_at_zero(key):
  module = resnet.ResNet((2,), 4, False, 'cifar', 'torch')
  images = jax.random.normal(key, (2, 8, 8, 3))
  variables = initialised(module, images)
  endpoints = jax.jit(lambda v, x: module.apply(v, x, train=False))(variables, images)
  np.testing.assert_array_equal(endpoints['stage1'], endpoints['stem'])


def test_initial_weights():
  """They are truncated at two standard deviations of 1/sqrt(fan-in), then rescaled."""
  module = resnet.ResNet((1,), 64, False, 'cifar', 'torch')
  params = initialised(module, jnp.zeros((1, 4, 4, 3)))['params']
  kernel = np.asarray(params['stage1']['block1']['conv1']['kernel'])
  std = (9 * 64) ** -0.5
  np.testing.assert_allclose(kernel.std(), std, rtol=0.02)
  assert np.abs(kernel).max() < 2 / 0.8796 * std


def test_variance_in_float32_survives_a_large_mean(key):
  """E[x^2] - E[x]^2 would lose a variance of 1e-4 to cancellation."""
  module = resnet.layers.batch_norm(train=True, dtype=jnp.float32, name='bn')
  x = 100 + 0.01 * jax.random.normal(key, (4096, 1))
  y, _ = module.init_with_output(key, x)
  wanted = np.asarray(x, np.float64)
  wanted = (wanted - wanted.mean()) / np.sqrt(wanted.var() + 1e-5)
  np.testing.assert_allclose(y, wanted, atol=1e-2)


@pytest.mark.parametrize('name, fields, words', [
    ('resnet51', {}, ['config.model.name', "'resnet51'", 'resnet50']),
    ('resnet50', {'widht': 2}, ['config.model.widht', "'width'", 'sk_ratio']),
    ('resnet20', {'stem': 'cifar'}, ['config.model.stem', 'width, shortcut']),
    ('resnet50', {'stem': 'small'}, ['config.model.stem', "'small'", 'cifar']),
    ('resnet50', {'shortcut': 'b'}, ['config.model.shortcut', "'b'", 'identity']),
    ('resnet18', {'width': 0.01}, ['config.model.width is 0.01', '64']),
    ('resnet20', {'width': 0}, ['config.model.width is 0', 'above 0']),
    ('resnet18', {'sk_ratio': 0.0625}, ['config.model.sk_ratio', 'resnet50']),
    ('resnet50', {'sk_ratio': -1}, ['config.model.sk_ratio is -1', 'from 0 to 1']),
])
def test_mistakes_are_explained(name, fields, words):
  with pytest.raises(errors.UserError) as error:
    models.build(name, **fields)
  for word in words:
    assert word in str(error.value)


@pytest.mark.parametrize('shortcut', ['identity', 'torch'])
def test_no_channel_is_dead_at_the_start(shortcut):
  """Channels that option A appends need a residual, or their ReLU has no gradient."""
  module = resnet.ResNet((2, 2), 4, False, 'cifar', shortcut)
  images = jax.random.normal(jax.random.key(1), (8, 8, 8, 3))
  variables = initialised(module, images)

  def features(params):
    return module.apply({**variables, 'params': params}, images, train=True,
                        mutable=['batch_stats'])[0]['pooled']

  pooled, pull = jax.vjp(jax.jit(features), variables['params'])
  assert (pooled.std(0) > 1e-3).all()
  weights = jax.random.normal(jax.random.key(2), pooled.shape)
  gradient = pull(weights)[0]
  for block in ('block1', 'block2'):
    assert (abs(gradient['stage2'][block]['bn2']['scale']) > 1e-6).all()
