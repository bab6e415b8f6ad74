"""Tests safetensors files: what was written is read; other files are one sentence."""

import json
import pickle
import struct

import ml_dtypes
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.weights import tensor_file

TENSORS = {'a.weight': np.arange(6, dtype=np.float32).reshape(2, 3),
           'a.count': np.array(7, np.int64)}


def test_arrays_and_metadata_come_back(tmp_path):
  path = tmp_path / 'x.safetensors'
  path.write_bytes(tensor_file.serialize(TENSORS, {'format': 'pt'}))
  found = tensor_file.read(path)
  assert found.metadata == {'format': 'pt'} and found.tensors.keys() == TENSORS.keys()
  for name, x in TENSORS.items():
    np.testing.assert_array_equal(found.tensors[name], x)
    assert found.tensors[name].dtype == x.dtype


@pytest.mark.parametrize('dtype, name', [(np.float16, 'F16'), (np.float64, 'F64'),
                                         (ml_dtypes.bfloat16, 'BF16')])
def test_other_floats_become_float32(tmp_path, dtype, name):
  """The file is written here by the format's definition: a length, JSON, the bytes."""
  x = np.array([1.5, -2, 0.25], dtype)
  header = json.dumps({'x': {'dtype': name, 'shape': [3],
                             'data_offsets': [0, x.nbytes]}}).encode()
  path = tmp_path / 'x.safetensors'
  path.write_bytes(struct.pack('<Q', len(header)) + header + x.tobytes())
  got = tensor_file.read(path).tensors['x']
  assert got.dtype == np.float32 and got.tolist() == [1.5, -2, 0.25]


def test_half_a_file_and_a_pickle_are_one_sentence(tmp_path):
  path = tmp_path / 'x.safetensors'
  path.write_bytes(tensor_file.serialize(TENSORS, {}))
  whole = path.read_bytes()
  for content in (whole[:-5], whole[:20], b'', pickle.dumps({'x': [1.] * 100})):
    path.write_bytes(content)
    with pytest.raises(errors.UserError, match='x.safetensors is not a whole'):
      tensor_file.read(path)
  with pytest.raises(errors.UserError, match='does not exist'):
    tensor_file.read(tmp_path / 'none.safetensors')
  with pytest.raises(errors.UserError, match='does not exist'):
    tensor_file.read(tmp_path)


def test_a_pickle_is_not_executed(tmp_path):
  class Evil:
    def __reduce__(self):
      return (tmp_path / 'executed').touch, ()
  path = tmp_path / 'x.safetensors'
  path.write_bytes(pickle.dumps(Evil()))
  with pytest.raises(errors.UserError, match='could execute code'):
    tensor_file.read(path)
  assert not (tmp_path / 'executed').exists()
