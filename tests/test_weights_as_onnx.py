"""Tests ONNX files: ONNX Runtime gives our features at two batch sizes."""

import json
import sys

import numpy as np
import pytest
import tiny_network

from ssl_jax import errors
from ssl_jax.weights import as_onnx
from ssl_jax.weights.network import Options

MODELS = [  # images of 32 pixels are not resized
    ({'name': 'resnet8', 'width': 0.25}, 40), ({'name': 'resnet8', 'width': 0.25}, 32),
    ({'name': 'resnet50', 'width': 0.0625, 'stem': 'imagenet', 'sk_ratio': 0.0625}, 40),
    ({'name': 'resnet18', 'width': 0.0625, 'stem': 'imagenet'}, 40),
    ({'name': 'nin', 'width': 0.125}, 40)]


@pytest.mark.parametrize('model, size', MODELS, ids=lambda x: str(x))
def test_features_by_onnx_runtime_equal_ours(model, size):
  pytest.importorskip('jax2onnx', reason='needs the extra onnx')
  runtime = pytest.importorskip('onnxruntime')
  encoder = tiny_network.encoder(model, size)
  exported = as_onnx.make(tiny_network.network(model, size), Options())
  session = runtime.InferenceSession(exported.files[''])
  images = tiny_network.images(5, size)
  want = np.asarray(encoder.encode(images)['pooled'])
  for n in (2, 5):
    found, = session.run(None, {'images': images[:n]})
    np.testing.assert_allclose(found, want[:n], rtol=1e-4, atol=1e-5 * want.max())
  facts = session.get_modelmeta().custom_metadata_map
  assert json.loads(facts['mean']) == [0.5, 0.4, 0.3] and facts['commit']


def test_without_jax2onnx_the_message_says_how_to_install_it(monkeypatch):
  monkeypatch.setitem(sys.modules, 'jax2onnx', None)
  with pytest.raises(errors.UserError, match=r"pip install -e '\.\[onnx\]'"):
    as_onnx.make(tiny_network.network(), Options())
