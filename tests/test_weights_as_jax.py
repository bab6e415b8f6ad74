"""Tests exported programs: a fresh process without this library gives our features."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_network

from ssl_jax.weights import as_jax
from ssl_jax.weights.network import Options

CHILD = """
import sys
import jax, numpy as np
program = jax.export.deserialize(bytearray(open('x.jax', 'rb').read()))
given = np.load('images.npz')
np.savez('found.npz', **{name: program.call(given[name]) for name in given})
assert not [name for name in sys.modules if name.startswith(('ssl_jax', 'flax'))]
"""


@pytest.fixture(scope='module')
def encoder():
  return tiny_network.encoder()


@pytest.fixture(scope='module')
def network(encoder):
  return tiny_network.network()


def test_a_process_with_only_jax_and_numpy_gives_our_features(encoder, network,
                                                              tmp_path):
  exported = as_jax.make(network, Options())
  assert list(exported.files) == [''] and exported.content.startswith(
      'images uint8 [B, 40, 40, 3] -> float32 [B, 16]')
  (tmp_path / 'x.jax').write_bytes(exported.files[''])
  batches = {str(n): tiny_network.images(n) for n in (2, 5)}
  np.savez(tmp_path / 'images.npz', **batches)
  environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  subprocess.run([sys.executable, '-c', CHILD], cwd=tmp_path, check=True,
                 env=environment, timeout=200)
  with np.load(tmp_path / 'found.npz') as found:
    for name, images in batches.items():
      want = encoder.encode(images)['pooled']
      np.testing.assert_allclose(found[name], want, rtol=1e-5, atol=1e-6)


def test_the_form_for_cpus_is_in_no_program(network):
  """That form has a select before each convolution."""
  here = jax.jit(lambda x: network.apply(network.variables, x)['pooled']).lower(
      np.zeros((1, 40, 40, 3), np.float32)).as_text()
  assert 'stablehlo.select' in here  # tests run on a CPU
  program = jax.export.deserialize(
      bytearray(as_jax.make(network, Options()).files['']))
  assert program.platforms == ('cpu', 'cuda', 'tpu')
  text = program.mlir_module()
  assert 'stablehlo.convolution' in text and 'stablehlo.select' not in text


def test_a_feature_map_of_the_input_of_the_network(encoder, network):
  exported = as_jax.make(network, Options('stem', preprocess=False))
  assert 'float32 [B, 40, 40, 3] -> float32 [B, 40, 40, 4]' in exported.content
  program = jax.export.deserialize(bytearray(exported.files['']))
  images = tiny_network.images(2)
  np.testing.assert_allclose(
      program.call(encoder.preprocess(images)), encoder.encode(images)['stem'],
      rtol=1e-5, atol=1e-5)
