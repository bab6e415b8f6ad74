"""Tests names and shapes against timm's rule, and files against NumPy and timm."""

import jax
import numpy as np
import numpy_vit
import pytest
import safetensors.numpy
from flax import traverse_util

from ssl_jax import errors, models
from ssl_jax.weights import files, prefixes, timm_vit

TINY = {'name': 'vit_tiny', 'width': 1 / 24, 'depth': 2, 'patch': 4}  # 8 channels


def state_dict(width=192, depth=12, patch=16, side=224, registers=0):
  """Returns the shapes of timm.models.vision_transformer.VisionTransformer."""
  found = {'cls_token': (1, 1, width),
           'pos_embed': (1, (side // patch)**2 + (not registers), width)}
  if registers:
    found['reg_token'] = (1, registers, width)

  def layer(name, *shape):
    found[f'{name}.weight'], found[f'{name}.bias'] = shape, shape[:1]

  layer('patch_embed.proj', width, 3, patch, patch)
  for i in range(depth):
    layer(f'blocks.{i}.norm1', width)
    layer(f'blocks.{i}.attn.qkv', 3 * width, width)
    layer(f'blocks.{i}.attn.proj', width, width)
    layer(f'blocks.{i}.norm2', width)
    layer(f'blocks.{i}.mlp.fc1', 4 * width, width)
    layer(f'blocks.{i}.mlp.fc2', width, 4 * width)
  layer('norm', width)
  return found


def drawn(side=8, heads=2, **model):
  """Draws all variables of a network, {'params': {'encoder': ...}, ...}."""
  module = models.build(**{**TINY, 'heads': heads, **model})
  shapes = jax.eval_shape(lambda key: module.init(
      key, np.zeros((1, side, side, 3), np.float32), train=False), jax.random.key(0))
  rng = np.random.default_rng(0)
  draw = lambda x: np.float32(rng.normal(size=x.shape) / 2 + (x.ndim == 1))
  return {'params': {'encoder': jax.tree.map(draw, shapes['params'])},
          'batch_stats': {}}


@pytest.mark.parametrize('name, side, fields', [
    ('vit_tiny', 224, {}), ('vit_small', 32, {'patch': 4}),
    ('vit_base', 224, {'registers': 4})])
def test_names_and_shapes_are_those_of_timm(name, side, fields):
  module = models.build(name, **fields)
  shapes = jax.eval_shape(lambda key: module.init(
      key, np.zeros((1, side, side, 3), np.float32), train=False), jax.random.key(0))
  channels, heads = timm_vit.FORMS[name]
  assert (module.width, module.heads) == (channels, heads)
  tree = {'params': {'encoder': jax.tree.map(
      lambda x: np.broadcast_to(np.float32(1), x.shape), shapes['params'])}}
  got = timm_vit.to_timm(tree)
  assert {key: x.shape for key, x in got.items()} == state_dict(
      channels, side=side, **fields)
  model = timm_vit.model_of(got)
  assert model == {'name': name, 'patch': 16, **fields}
  assert timm_vit.side_of(tree, model) == side


@pytest.mark.parametrize('registers', [0, 3])
def test_there_and_back_is_the_identity(registers):
  tree = drawn(registers=registers)
  tree['params']['head'] = {'dense': {'kernel': np.float32([[1, 2, 3]]),
                                      'bias': np.float32([4, 5, 6])}}
  tensors = timm_vit.to_timm(tree)
  assert tensors['head.weight'].tolist() == [[1], [2], [3]]
  back, unknown = timm_vit.from_timm({**tensors, 'head_dist.weight': np.ones(3),
                                      'blocks.0.ls1.gamma': np.ones(3)})
  assert unknown == ['head_dist.weight', 'blocks.0.ls1.gamma']
  a, b = map(traverse_util.flatten_dict, (tree, back))
  assert a.keys() == b.keys()
  assert all(np.array_equal(a[path], b[path]) for path in a)


@pytest.mark.parametrize('model', [{'name': 'nin'}, {'name': 'resnet8'}])
def test_other_networks_have_no_names(model):
  with pytest.raises(errors.UserError, match='no name in the vision transformers'):
    timm_vit.name(('params', 'encoder', 'stage1', 'conv1', 'kernel'))
  assert timm_vit.heads_of(model) is None


def test_the_network_of_a_file_is_recognised():
  tensors = timm_vit.to_timm(drawn(registers=2))
  assert timm_vit.model_of(tensors) == {**TINY, 'registers': 2}
  zeros = lambda **fields: {k: np.broadcast_to(np.float32(0), shape)
                            for k, shape in state_dict(**fields).items()}
  # Those of MoCo v3 have a position embedding of zeros for the class token.
  assert timm_vit.model_of(zeros(width=384)) == {
      'name': 'vit_small', 'patch': 16, 'heads': 12}
  assert timm_vit.model_of(zeros(width=768)) == {'name': 'vit_base', 'patch': 16}
  without_class = zeros()
  del without_class['cls_token']
  assert timm_vit.model_of(without_class) is None
  assert timm_vit.model_of({'conv1.weight': np.ones(1)}) is None


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.base_encoder.'])
def test_a_file_gives_the_features_of_numpy(tmp_path, prefix):
  path = tmp_path / 'a.safetensors'
  tensors = timm_vit.to_timm(drawn(heads=3, width=1 / 16))
  safetensors.numpy.save_file(
      {prefix + name: x for name, x in tensors.items()}
      | {'module.momentum_encoder.cls_token': np.ones(3, np.float32)}, path)
  file = files.read(path)
  assert file.model == {**TINY, 'width': 1 / 16} and file.channels == 3
  assert file.unknown == ['module.momentum_encoder.cls_token']
  images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
  network = models.build(**file.model)
  own = {'params': file.variables['params']['encoder']}
  got = jax.jit(lambda v: network.apply(v, images, train=False))(own)['pooled']
  want = numpy_vit.vit(images, tensors, 3)[-1][:, 0]
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_the_teacher_of_dino_is_not_the_encoder():
  tensors = timm_vit.to_timm(drawn())
  found = prefixes.find({f'{module}.backbone.{name}': x for module in (
      'student', 'teacher') for name, x in tensors.items()}, 'a.pth')
  assert found.tensors.keys() == tensors.keys()
  assert all(name.startswith('teacher.') for name in found.others)


def test_timm_has_the_features_of_ours():
  timm = pytest.importorskip('timm', reason='timm is not installed')
  import torch
  theirs = timm.create_model('vit_tiny_patch16_224', img_size=32, patch_size=8, depth=1,
                             reg_tokens=2, no_embed_class=True, num_classes=0).eval()
  rng = np.random.default_rng(0)
  tensors = {name: np.float32(0.05 * rng.normal(size=x.shape) + (x.ndim == 1))
             for name, x in theirs.state_dict().items()}
  theirs.load_state_dict({name: torch.from_numpy(x) for name, x in tensors.items()})
  model, (tree, unknown) = timm_vit.model_of(tensors), timm_vit.from_timm(tensors)
  images = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
  got = models.build(**model).apply({'params': tree['params']['encoder']}, images,
                                    train=False)['pooled']
  with torch.no_grad():
    want = theirs(torch.from_numpy(np.moveaxis(images, 3, 1).copy())).numpy()
  assert not unknown
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
