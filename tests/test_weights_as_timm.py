"""Tests folders for timm, by timm itself where it is installed."""

import dataclasses
import json

import numpy as np
import pytest
import tiny_network

from ssl_jax import errors
from ssl_jax.weights import as_timm
from ssl_jax.weights.network import Options

MODEL = {'name': 'resnet18', 'stem': 'imagenet'}


def written(network, folder):
  for name, data in as_timm.make(network, Options()).files.items():
    (folder / name).write_bytes(data)
  return json.loads((folder / 'config.json').read_text())


def test_the_config_has_what_timm_reads(tmp_path):
  config = written(tiny_network.network(MODEL), tmp_path)
  assert config == {
      'architecture': 'resnet18', 'num_classes': 0, 'num_features': 512,
      'pretrained_cfg': {
          'input_size': [3, 40, 40], 'fixed_input_size': False, 'pool_size': [2, 2],
          'interpolation': 'bicubic', 'crop_pct': 0.875, 'crop_mode': 'center',
          'mean': [0.5, 0.4, 0.3], 'std': [0.2, 0.3, 0.4], 'first_conv': 'conv1',
          'classifier': 'fc'}}


@pytest.mark.parametrize('classes', [0, 5])
def test_timm_loads_the_folder_and_gives_our_features(tmp_path, classes):
  timm = pytest.importorskip('timm', reason='timm is not installed')
  import torch
  encoder = tiny_network.encoder(MODEL, classes=classes)
  config = written(tiny_network.network(MODEL, classes=classes), tmp_path)
  model = timm.create_model(f'local-dir:{tmp_path}', pretrained=True).eval()
  assert model.num_features == config['num_features']
  assert model.num_classes == classes
  data = timm.data.resolve_model_data_config(model)
  assert tuple(data['mean']) == (0.5, 0.4, 0.3) and data['crop_pct'] == 0.875
  assert tuple(data['input_size']) == (3, 40, 40)
  images = tiny_network.images(2)
  given = np.moveaxis(np.asarray(encoder.preprocess(images)), 3, 1).copy()
  with torch.inference_mode():
    found = model(torch.from_numpy(given)).numpy()
  want = encoder.encode(images)['logits' if classes else 'pooled']
  np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('model, reason', [
    ({'name': 'resnet18', 'stem': 'cifar'}, "stem 'cifar'.*conv1 = Conv2d"),
    ({'name': 'resnet8'}, "network 'resnet8'.*--format=onnx or --format=jax"),
    ({'name': 'resnet50', 'width': 2}, 'width 2.*--format=jax'),
    ({'name': 'resnet50', 'sk_ratio': 0.0625}, 'selective kernels.*--format=jax'),
    ({'name': 'resnet18', 'shortcut': 'google'}, "kind 'google'.*--format=jax")])
def test_other_networks_are_one_sentence(model, reason):
  network = dataclasses.replace(tiny_network.network(), model=model)
  with pytest.raises(errors.UserError, match=f'timm has no architecture.*{reason}'):
    as_timm.make(network, Options())


def test_a_vit_is_refused_with_the_format_that_holds_it():
  network = dataclasses.replace(tiny_network.network(), model={'name': 'vit_tiny'})
  with pytest.raises(errors.UserError, match="'vit_tiny'; --format=safetensors writes"):
    as_timm.make(network, Options())
