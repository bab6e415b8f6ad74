"""Tests files of several libraries, against NumPy and, if installed, PyTorch."""

import json

import jax
import numpy as np
import numpy_torchvision
import pytest
import safetensors.numpy

from ssl_jax import errors, models
from ssl_jax.weights import files, torchvision


def tensors(name='resnet8', **fields):
  """Draws the arrays of a network by torchvision's names."""
  network = models.build(name, **fields)
  shapes = jax.eval_shape(lambda key: network.init(
      key, np.zeros((1, 32, 32, 3), np.float32), train=False), jax.random.key(0))
  rng = np.random.default_rng(0)
  draw = lambda path, x: np.float32(
      rng.uniform(0.5, 1.5, x.shape) if path[-1].key in ('var', 'scale')
      else rng.normal(size=x.shape) / np.sqrt(np.prod(x.shape[:-1])))
  return torchvision.to_torchvision({
      collection: {'encoder': jax.tree_util.tree_map_with_path(draw, tree)}
      for collection, tree in shapes.items()})


def features(file, images):
  own = {collection: tree['encoder'] for collection, tree in file.variables.items()}
  network = models.build(**file.model)
  return jax.jit(lambda v: network.apply(v, images, train=False))(own)['pooled']


@pytest.mark.parametrize('fields', [
    {'name': 'resnet8', 'width': 0.25}, {'name': 'resnet8', 'width': 0.25, 'shortcut':
                                         'torch'},
    {'name': 'resnet18', 'width': 0.0625, 'stem': 'cifar', 'shortcut': 'google'}])
def test_a_file_with_prefixes_gives_the_features_of_numpy(tmp_path, fields):
  arrays, path = tensors(**fields), tmp_path / 'a.safetensors'
  safetensors.numpy.save_file(
      {f'module.backbone.{n}': x for n, x in arrays.items()}
      | {'projector.0.weight': np.ones(3, np.float32)}, path)
  file = files.read(path)
  assert file.model == fields and file.channels == 3
  assert file.unknown == ['projector.0.weight'] and file.config is None
  assert file.images == {'mean': torchvision.MEAN, 'std': torchvision.STD,
                         'known': False}
  images = np.random.default_rng(1).normal(size=(2, 16, 16, 3)).astype(np.float32)
  want = numpy_torchvision.features(images, arrays)
  np.testing.assert_allclose(features(file, images), want, rtol=1e-4,
                             atol=1e-4 * abs(want).max())


def test_the_metadata_of_an_export_are_read(tmp_path):
  path = tmp_path / 'a.safetensors'
  facts = {'mean': [0.1] * 3, 'std': [0.2] * 3, 'config': {'seed': 4}}
  safetensors.numpy.save_file(tensors(width=0.25), path, {
      name: json.dumps(value) for name, value in facts.items()})
  file = files.read(path)
  assert file.images == {'mean': [0.1] * 3, 'std': [0.2] * 3, 'known': True}
  assert file.config == {'seed': 4}


def test_a_suffix_decides(tmp_path):
  assert files.is_file('a.safetensors') and files.is_file('runs/a.ckpt')
  assert not files.is_file('runs/a') and not files.is_file(None)
  assert not files.is_file('network.packed')
  with pytest.raises(errors.UserError, match='does not exist'):
    files.read(tmp_path / 'a.pth')


@pytest.mark.parametrize('stem', ['cifar', 'imagenet'])
def test_a_checkpoint_of_lightly_gives_the_features_of_pytorch(tmp_path, stem):
  torch = pytest.importorskip('torch')
  theirs = pytest.importorskip('torchvision').models.resnet18()
  if stem == 'cifar':  # as in lightly's tutorials
    theirs.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    theirs.maxpool = torch.nn.Identity()
  torch.manual_seed(0)
  for x in theirs.buffers():
    if x.is_floating_point():
      torch.nn.init.uniform_(x, 0.5, 1.5)
  backbone = torch.nn.Sequential(*list(theirs.children())[:-1]).eval()
  module = torch.nn.Module()
  module.backbone, module.projection_head = backbone, torch.nn.Linear(512, 128)
  path = tmp_path / 'epoch=1.ckpt'
  torch.save({'state_dict': module.state_dict(), 'epoch': 1}, path)
  file = files.read(path)
  assert file.model == {'name': 'resnet18', 'stem': stem}
  assert file.unknown == ['projection_head.weight', 'projection_head.bias']
  images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
  with torch.no_grad():
    want = backbone(torch.tensor(images.transpose(0, 3, 1, 2))).flatten(1).numpy()
  np.testing.assert_allclose(features(file, images), want, rtol=1e-4,
                             atol=1e-4 * abs(want).max())
