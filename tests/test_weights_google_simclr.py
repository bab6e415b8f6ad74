"""Tests google-research/simclr's networks against NumPy in the order of its code."""

import itertools

import jax
import numpy as np
import numpy_networks
import pytest
import safetensors.numpy
import tiny

from ssl_jax import errors, methods, models
from ssl_jax.jobs import initial
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.weights import files, google_simclr

BLOCKS = (2, 2, 2, 2)
WIDTH = 4


class Built:
  """Draws or reads the variables of layers in the order in which they are built."""

  def __init__(self, variables=None):
    self.known, self.variables = variables is not None, variables or {}
    self.count, self.rng = itertools.count(), np.random.default_rng(0)

  def __call__(self, x, out, kernel_size, stride, relu=True):
    i = next(self.count)
    number = f'_{i}' if i else ''
    conv = f'base_model/conv2d{number}/kernel'
    norm = f'base_model/batch_normalization{number}'
    if not self.known:
      shape = (kernel_size, kernel_size, x.shape[3], out)
      draw = lambda low: np.float32(self.rng.uniform(low, 1.5, out))
      self.variables |= {
          conv: np.float32(self.rng.normal(size=shape) / np.sqrt(np.prod(shape[:3]))),
          f'{norm}/gamma': draw(0.5), f'{norm}/beta': draw(-1.),
          f'{norm}/moving_mean': draw(-1.), f'{norm}/moving_variance': draw(0.5)}
    gamma, beta, mean, var = (np.float64(self.variables[f'{norm}/{leaf}']) for leaf in (
        'gamma', 'beta', 'moving_mean', 'moving_variance'))
    x = numpy_networks.conv(x, np.float64(self.variables[conv]), stride)
    x = (x - mean) / np.sqrt(var + 1e-5) * gamma + beta
    return numpy_networks.relu(x) if relu else x


def max_pool_same(x):
  """3x3 at stride 2, padded as TensorFlow does: the smaller half at the top left."""
  pads = []
  for n in x.shape[1:3]:
    total = max((-(-n // 2) - 1) * 2 + 3 - n, 0)
    pads.append((total // 2, total - total // 2))
  x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)
  rows, cols = range(0, x.shape[1] - 2, 2), range(0, x.shape[2] - 2, 2)
  return np.stack([np.stack([x[:, i:i + 3, j:j + 3].max((1, 2)) for j in cols], 1)
                   for i in rows], 1)


def features(images, layer):
  """ResNet-18 as in `resnet_v1_generator`: the shortcut of a block is built first."""
  x = max_pool_same(layer(np.float64(images), WIDTH, 7, 2))
  for stage, blocks in enumerate(BLOCKS):
    for block in range(blocks):
      stride = 2 if stage and not block else 1
      width = WIDTH * 2**stage
      shortcut = x if block else layer(x, width, 1, stride, relu=False)
      x = layer(layer(x, width, 3, stride), width, 3, 1, relu=False)
      x = numpy_networks.relu(x + shortcut)
  return x.mean((1, 2))


@pytest.fixture(scope='module')
def variables():
  layer = Built()
  features(np.zeros((1, 32, 32, 3)), layer)
  return {**layer.variables, 'global_step': np.int64(7),
          'base_model/conv2d/kernel/Momentum': np.zeros(3, np.float32),
          'head_contrastive/nl_0/dense/kernel': np.zeros(3, np.float32)}


@pytest.fixture(scope='module')
def file(variables, tmp_path_factory):
  path = tmp_path_factory.mktemp('files') / 'r18.safetensors'
  tensors, _ = google_simclr.to_torchvision(variables)
  safetensors.numpy.save_file(tensors, path, google_simclr.METADATA)
  return path


@pytest.mark.parametrize('side', [32, 30])  # maps of 16 and of 15 pixels are pooled
def test_the_features_are_those_of_numpy(variables, file, side):
  images = np.random.default_rng(1).uniform(size=(2, side, side, 3)).astype(np.float32)
  want = features(images, Built(variables))
  read = files.read(file)
  assert read.model == {'name': 'resnet18', 'stem': 'imagenet', 'width': WIDTH / 64,
                        'shortcut': 'google', 'max_pool': 'same'}
  assert read.images['mean'] == [0., 0., 0.] and read.images['std'] == [1., 1., 1.]
  own = {collection: tree['encoder'] for collection, tree in read.variables.items()}

  def found(**fields):
    network = models.build(**{**read.model, **fields})
    return jax.jit(lambda v: network.apply(v, images, train=False)['pooled'])(own)
  np.testing.assert_allclose(found(), want, rtol=1e-4, atol=1e-4 * abs(want).max())
  if side == 32:  # For sides that are odd, both paddings are equal.
    assert abs(found(max_pool='symmetric') - want).max() > 1e-2 * abs(want).max()


def test_other_variables_are_listed(variables):
  _, unused = google_simclr.to_torchvision(variables)
  assert unused == ['base_model/conv2d/kernel/Momentum', 'global_step',
                    'head_contrastive/nl_0/dense/kernel']


def test_other_networks_are_one_sentence(variables):
  without = lambda part: {n: x for n, x in variables.items() if part not in n}
  with pytest.raises(errors.UserError, match='has 20 convolutions in base_model; acc'):
    google_simclr.to_torchvision(without('conv2d_20/'))
  with pytest.raises(errors.UserError, match='lacks base_model/batch_normalization_3'):
    google_simclr.to_torchvision(without('batch_normalization_3/gamma'))


def test_a_training_must_have_the_same_max_pool(file):
  config = tiny.config(epochs=0)
  config['model'] = {'name': 'resnet18', 'width': WIDTH / 64, 'shortcut': 'google',
                     'init_from': str(file)}
  method = methods.build(config, 0)
  shapes = jax.eval_shape(lambda key: method.init(key, (32, 32, 3)), jax.random.key(0))
  with pytest.raises(errors.UserError, match='set --config.model.max_pool=same'):
    initial.put(str(file), config, method, mesh_lib.data_mesh(), shapes)
