"""Tests the file of a compressed training: what is left out, and what is reported."""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny_compression

from ssl_jax import methods
from ssl_jax.compression import artefact
from ssl_jax.train import packed

CONFIG = {'seed': 0}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def variables(method):
  return method.init(jax.random.key(0), (8, 8, 3))


@pytest.mark.parametrize('section', [None, {'sparsity': 0.5, 'bits': None}])
def test_no_file_without_quantization(tmp_path, section):
  fields = {**tiny_compression.pretraining(), 'compression': section}
  method = methods.build(fields, 4)
  assert packed.write(tmp_path, method, variables(method), 1, CONFIG) is None
  assert not list(tmp_path.iterdir())


def test_what_is_reported(tmp_path):
  method = methods.build(tiny_compression.pretraining(), 4)
  found = packed.write(tmp_path, method, variables(method), 7, CONFIG)
  read = artefact.read(tmp_path / packed.FILE)
  assert read.meta == {'config': CONFIG, 'step': 7}
  assert found['file'] == packed.FILE
  assert found['bytes'] == (tmp_path / packed.FILE).stat().st_size
  encoder = method.encoder_variables(variables(method))
  arrays = jax.tree.leaves(encoder)
  assert found['float32'] == sum(x.nbytes for x in arrays)
  kernels = [x for x in arrays if x.ndim > 1]
  zeros = sum(int((x == 0).sum()) for x in kernels)
  assert found['sparsity'] == pytest.approx(zeros / sum(x.size for x in kernels))
  assert sum(x['weights'] for x in found['layers']) == sum(x.size for x in kernels)
  line = packed.show(found)
  assert f'{found["bytes"]:,} bytes' in line and '\n' not in line


def test_arrays_must_be_equal():
  tree = {'params': {'a': np.ones(2, np.float32), 'b': np.ones(1, np.float32)}}
  other = {'params': {'a': np.ones(2, np.float32), 'b': np.zeros(1, np.float32)}}
  packed.check_equal(other, tree, {('params', 'b')})
  with pytest.raises(AssertionError, match='params/b changed'):
    packed.check_equal(other, tree, set())
