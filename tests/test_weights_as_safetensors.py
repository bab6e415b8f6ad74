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


def test_networks_without_names_are_one_sentence_with_the_formats_that_work():
  with pytest.raises(errors.UserError, match='no name.*--format=jax or --format=onnx'):
    as_safetensors.make(tiny_network.network({'name': 'nin', 'width': 0.125}),
                        Options())
