"""Tests names and shapes against torchvision's rule, and the network against NumPy."""

import jax
import numpy as np
import numpy_torchvision
import pytest
from flax import traverse_util

from ssl_jax import errors, models
from ssl_jax.weights import torchvision

BLOCKS = {'resnet18': (2, 2, 2, 2), 'resnet34': (3, 4, 6, 3), 'resnet50': (3, 4, 6, 3),
          'resnet101': (3, 4, 23, 3), 'resnet152': (3, 8, 36, 3)}


def state_dict(name):
  """Returns the shapes of torchvision.models.<name>, after its class `ResNet`.

  Counters and `fc` are left out. `inplanes`, `planes` and `expansion` are its names.
  """
  found = {}

  def conv(key, out, inputs, k):
    found[f'{key}.weight'] = (out, inputs, k, k)

  def bn(key, width):
    for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
      found[f'{key}.{leaf}'] = (width,)

  expansion = 1 if name in ('resnet18', 'resnet34') else 4
  conv('conv1', 64, 3, 7)
  bn('bn1', 64)
  inplanes = 64
  for i, blocks in enumerate(BLOCKS[name]):
    planes, stride = 64 * 2**i, 1 if i == 0 else 2
    for j in range(blocks):
      key, out = f'layer{i + 1}.{j}', planes * expansion
      if expansion == 1:
        plan = [(planes, inplanes, 3), (planes, planes, 3)]
      else:
        plan = [(planes, inplanes, 1), (planes, planes, 3), (out, planes, 1)]
      for n, shape in enumerate(plan, start=1):
        conv(f'{key}.conv{n}', *shape)
        bn(f'{key}.bn{n}', shape[0])
      if j == 0 and (stride != 1 or inplanes != out):
        conv(f'{key}.downsample.0', out, inplanes, 1)
        bn(f'{key}.downsample.1', out)
      inplanes = out
  return found


def shapes(name, side=32, **fields):
  """Returns the shapes of our variables, {'params': {'encoder': ...}, ...}."""
  network = models.build(name, **fields)
  found = jax.eval_shape(lambda key: network.init(
      key, jax.numpy.zeros((1, side, side, 3)), train=False), jax.random.key(0))
  return {collection: {'encoder': tree} for collection, tree in found.items()}


def drawn(tree, seed=0):
  """Draws all arrays, so that running statistics are not those of a fresh network."""
  rng = np.random.default_rng(seed)
  draw = lambda path, x: np.float32(
      rng.uniform(0.5, 1.5, x.shape) if path[-1].key in ('var', 'scale')
      else rng.normal(size=x.shape) / np.sqrt(np.prod(x.shape[:-1])))
  return jax.tree_util.tree_map_with_path(draw, tree)


@pytest.mark.parametrize('name, count', [
    ('resnet18', 100), ('resnet34', 180), ('resnet50', 265), ('resnet101', 520),
    ('resnet152', 775)])
def test_names_and_shapes_are_those_of_torchvision(name, count):
  want = state_dict(name)
  tree = jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), shapes(name))
  got = torchvision.to_torchvision(tree)
  assert {key: x.shape for key, x in got.items()} == want
  assert len(want) == count
  assert torchvision.class_of({'name': name}) == f'torchvision.models.{name}'


@pytest.mark.parametrize('name, fields', [
    ('resnet18', {}), ('resnet50', {'stem': 'cifar'}), ('resnet8', {}),
    ('resnet14', {'shortcut': 'torch'})])
def test_there_and_back_is_the_identity(name, fields):
  tree = drawn(shapes(name, **fields, width=1 / 16))
  tree['params']['head'] = {'dense': {'kernel': np.float32([[1, 2, 3]]),
                                      'bias': np.float32([4, 5, 6])}}
  tensors = torchvision.to_torchvision(tree)
  assert tensors['fc.weight'].tolist() == [[1], [2], [3]]
  back, unknown = torchvision.from_torchvision(
      {**tensors, 'bn1.num_batches_tracked': np.int64(3)})
  assert not unknown
  a, b = map(traverse_util.flatten_dict, (tree, back))
  assert a.keys() == b.keys()
  assert all(np.array_equal(a[path], b[path]) for path in a)


@pytest.mark.parametrize('name, fields', [
    ('resnet18', {}), ('resnet18', {'shortcut': 'google'}), ('resnet50', {}),
    ('resnet8', {}), ('resnet8', {'shortcut': 'torch'})])
def test_a_numpy_resnet_on_torchvisions_names_equals_ours(name, fields):
  fields = {**fields, 'width': 1 / 16}
  tree = drawn(shapes(name, **fields))
  images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
  ours = models.build(name, **fields).apply(
      {collection: x['encoder'] for collection, x in tree.items()}, images, train=False)
  want = numpy_torchvision.features(images, torchvision.to_torchvision(tree))
  assert want.std() > 0.01
  np.testing.assert_allclose(ours['pooled'], want, rtol=1e-4, atol=1e-4)


def test_names_that_no_resnet_has_are_returned():
  zeros = np.zeros(2, np.float32)
  tree, unknown = torchvision.from_torchvision({
      'layer1.0.bn2.running_var': zeros, 'layer1.0.se.fc1.weight': zeros,
      'blocks.0.attn.qkv.weight': zeros, 'layer1.0.conv1.bias': zeros})
  assert unknown == ['layer1.0.se.fc1.weight', 'blocks.0.attn.qkv.weight',
                     'layer1.0.conv1.bias']
  (path, array), = traverse_util.flatten_dict(tree).items()
  assert path == ('batch_stats', 'encoder', 'stage1', 'block1', 'bn2', 'var')
  np.testing.assert_array_equal(array, zeros)


@pytest.mark.parametrize('name, fields', [
    ('nin', {}), ('resnet50', {'sk_ratio': 0.0625})])
def test_other_networks_have_no_names(name, fields):
  with pytest.raises(errors.UserError, match='has no name in torchvision'):
    for path in traverse_util.flatten_dict(shapes(name, **fields)):
      torchvision.name(path)


@pytest.mark.parametrize('model', [
    {'name': 'resnet20'}, {'name': 'resnet18', 'stem': 'cifar'}, {'name': 'resnet200'},
    {'name': 'resnet18', 'shortcut': 'google'}, {'name': 'resnet50', 'width': 2},
    {'name': 'resnet50', 'shortcut': 'identity'}])
def test_forms_that_torchvision_lacks_have_no_class(model):
  assert torchvision.class_of(model) is None


@pytest.mark.parametrize('model', [
    {'name': 'resnet18', 'stem': 'imagenet'}, {'name': 'resnet34', 'stem': 'cifar'},
    {'name': 'resnet101', 'stem': 'imagenet', 'width': 2}, {'name': 'resnet20'},
    {'name': 'resnet8', 'width': 0.25}])
def test_the_network_of_a_file_is_recognised(model):
  tree = jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape),
                      shapes(**model))
  assert torchvision.model_of(torchvision.to_torchvision(tree)) == model


def test_files_of_other_networks_are_not_recognised():
  assert torchvision.model_of({}) is None
  assert torchvision.model_of({'layer1.0.conv1.weight': np.zeros(1)}) is None
