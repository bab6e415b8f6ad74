"""Tests exported weights: names of torchvision, and metadata as text."""

import jax
import numpy as np
import pytest
import safetensors.numpy
import tiny_network

from ssl_jax import errors
from ssl_jax.weights import as_safetensors
from ssl_jax.weights.network import Options

MODEL = {'name': 'resnet18', 'stem': 'imagenet', 'width': 0.0625}


def test_every_array_of_encoder_and_classifier_is_in_the_file(tmp_path):
  network = tiny_network.network(MODEL, classes=3)
  exported = as_safetensors.make(network, Options())
  tensors = safetensors.numpy.load(exported.files[''])
  assert sorted(x.size for x in tensors.values()) == sorted(
      x.size for x in jax.tree.leaves(network.variables))
  np.testing.assert_array_equal(
      tensors['fc.weight'], network.variables['params']['head']['dense']['kernel'].T)
  assert f'{len(tensors)} arrays' in exported.content and not exported.left_out


def test_the_projector_is_left_out_and_named():
  assert as_safetensors.make(tiny_network.network(MODEL), Options()).left_out == (
      'projector',)


@pytest.mark.parametrize('model, use', [
    ({'name': 'resnet18', 'stem': 'imagenet'}, 'torchvision.models.resnet18()'),
    (MODEL, 'no class of the form')])
def test_how_torchvision_loads_the_file(model, use):
  assert use in as_safetensors.make(tiny_network.network(model), Options()).use


VIT = {'name': 'vit_tiny', 'width': 0.125, 'depth': 1, 'patch': 8, 'registers': 2}


def test_a_vit_has_the_names_of_timm_and_a_line_that_loads_it(tmp_path):
  network = tiny_network.network(VIT, classes=3)
  exported = as_safetensors.make(network, Options())
  tensors = safetensors.numpy.load(exported.files[''])
  assert tensors['blocks.0.attn.qkv.weight'].shape == (72, 24)
  np.testing.assert_array_equal(
      tensors['head.weight'], network.variables['params']['head']['dense']['kernel'].T)
  assert exported.use == (
      'timm.create_model("vit_tiny_patch16_224", img_size=(40, 40), patch_size=8, '
      'num_classes=3, embed_dim=24, depth=1, reg_tokens=2, no_embed_class=True)'
      '.load_state_dict(safetensors.torch.load_file("OUTPUT"))')


def test_timm_loads_the_weights_of_a_vit(tmp_path):
  timm = pytest.importorskip('timm', reason='timm is not installed')
  import safetensors.torch
  import torch
  encoder = tiny_network.encoder(VIT)
  exported = as_safetensors.make(tiny_network.network(VIT), Options())
  path = tmp_path / 'a.safetensors'
  path.write_bytes(exported.files[''])
  build, _, load = exported.use.partition('.load_state_dict')
  model = eval(build, {'timm': timm}).eval()
  eval('model.load_state_dict' + load.replace('OUTPUT', str(path)),
       {'model': model, 'safetensors': safetensors})
  images = tiny_network.images(2)
  given = np.moveaxis(np.asarray(encoder.preprocess(images)), 3, 1).copy()
  with torch.inference_mode():
    found = model(torch.from_numpy(given)).numpy()
  np.testing.assert_allclose(found, encoder.encode(images)['pooled'], rtol=1e-4,
                             atol=1e-4)


def test_networks_without_names_are_one_sentence_with_the_formats_that_work():
  with pytest.raises(errors.UserError, match='no name.*--format=jax or --format=onnx'):
    as_safetensors.make(tiny_network.network({'name': 'nin', 'width': 0.125}),
                        Options())
