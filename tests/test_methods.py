"""Tests which method a config builds, and in which precision."""

import jax.numpy as jnp
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, methods
from ssl_jax.methods import base


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config(name, **train):
  return {**tiny.config(name, **train), 'model': {'name': 'stub'}}


@pytest.mark.parametrize('name', methods.METHODS)
def test_every_method_is_built_from_its_sections(name):
  method = methods.build(config(name, grad_cache_chunks=2), 4)
  assert type(method) is methods.METHODS[name] and isinstance(method, base.Base)
  assert isinstance(method.network.encoder, stub_encoder.Stub)
  assert method.grad_cache_chunks == 2 and method.dtype == jnp.float32


def test_parts_of_the_network_follow_the_method():
  parts = {name: methods.build(config(name), 4).network
           for name in ('simclr', 'byol', 'supervised')}
  assert parts['simclr'].projector is not None and parts['simclr'].predictor is None
  assert parts['byol'].predictor is not None and parts['byol'].head is None
  assert parts['supervised'].head is not None and parts['supervised'].projector is None


def test_precision_by_name():
  assert methods.compute_dtype('auto') == jnp.float32  # on CPUs, as here
  assert methods.compute_dtype('bfloat16') == jnp.bfloat16
  with pytest.raises(errors.UserError, match="precision is 'float16'; .*did you mean"):
    methods.compute_dtype('float16')


def test_an_unknown_method_names_the_nearest():
  with pytest.raises(errors.UserError, match="config.method.name is 'simclt'.*'simclr"):
    methods.build(config('simclt'), 4)
