"""Tests programs of a network: their input, their result and their errors."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import tiny_network

from ssl_jax import errors
from ssl_jax.jobs import export
from ssl_jax.weights import network as network_lib
from ssl_jax.weights.network import Options


@pytest.fixture(scope='module')
def network():
  return tiny_network.network()


def test_a_program_of_images_that_are_not_resized_gives_our_features():
  images = tiny_network.images(2, 32)
  program = network_lib.program(tiny_network.network(size=32), Options('stage1'))
  assert program.dtype == np.uint8 and program.shape == (32, 32, 3)
  want = tiny_network.encoder(size=32).encode(images)['stage1']
  np.testing.assert_allclose(jax.jit(program.call)(images), want, rtol=1e-5, atol=1e-5)


def test_a_run_in_bfloat16_becomes_a_program_in_float32():
  encoder = tiny_network.encoder().trained
  config = {**encoder.config, 'train': {'epochs': 1, 'precision': 'bfloat16'}}
  network = export.describe(dataclasses.replace(encoder, config=config))
  program = network_lib.program(network, Options())
  text = jax.jit(program.call).lower(tiny_network.images(2)).as_text()
  assert 'f32' in text and 'bf16' not in text


def test_an_endpoint_that_is_not_there_is_one_sentence(network):
  with pytest.raises(errors.UserError, match="--endpoint is 'stage9'.*did you mean"):
    network_lib.program(network, Options('stage9'))


def test_weights_of_two_gibibytes_are_refused(network):
  large = np.broadcast_to(np.float32(0), (2**29,))
  with pytest.raises(errors.UserError, match='2.0 GiB.*use --format=safetensors'):
    network_lib.program(
        dataclasses.replace(network, variables={'params': large}), Options())


def test_metadata_are_text(network):
  facts = network_lib.metadata(network)
  assert json.loads(facts['size']) == [40, 40] and json.loads(facts['crop']) == 0.875
  assert facts['endpoint'] == 'pooled' and 'class_names' not in facts
  names = network_lib.metadata(tiny_network.network(classes=2))['class_names']
  assert json.loads(names) == ['class 0', 'class 1']
