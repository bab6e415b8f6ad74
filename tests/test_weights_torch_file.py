"""Tests what is read of PyTorch's files, and that nothing in them is executed."""

import collections
import os
import pathlib
import sys

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.weights import torch_file


class Evil:
  """An object whose pickle makes a folder when it is loaded."""

  def __init__(self, folder):
    self.folder = folder

  def __reduce__(self):
    return os.mkdir, (str(self.folder),)


def test_without_pytorch_one_sentence_names_the_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  path = tmp_path / 'a.ckpt'
  path.touch()
  with pytest.raises(errors.UserError, match=r"pip install 'ssl_jax\[torch\]', or"):
    torch_file.read(path)
  with pytest.raises(errors.UserError, match='does not exist'):
    torch_file.read(tmp_path / 'b.ckpt')


@pytest.mark.parametrize('wrap', [
    lambda state: state, lambda state: {'state_dict': state, 'epoch': 3},
    lambda state: {'model': {'state_dict': state}, 'args': {'lr': 0.1}}])
def test_arrays_are_read_by_name(tmp_path, wrap):
  torch = pytest.importorskip('torch')
  state = collections.OrderedDict(
      a=torch.arange(6.).reshape(2, 3), b=torch.tensor([1.5], dtype=torch.bfloat16),
      c=torch.tensor(7), note='text')
  torch.save(wrap(state), tmp_path / 'a.pt')
  found = torch_file.read(tmp_path / 'a.pt')
  assert list(found) == ['a', 'b', 'c']
  np.testing.assert_array_equal(found['a'], np.arange(6).reshape(2, 3))
  assert found['b'].dtype == np.float32 and found['b'] == 1.5 and found['c'] == 7


def test_a_pickle_with_code_is_one_sentence_and_nothing_is_executed(tmp_path):
  torch = pytest.importorskip('torch')
  folder = tmp_path / 'made'
  path = tmp_path / 'a.pth'
  for content in ({'state_dict': {}, 'evil': Evil(folder)},
                  {'hyper_parameters': pathlib.Path('/'), 'state_dict': {}, 'x': Evil}):
    torch.save(content, path)
    with pytest.raises(errors.UserError, match='a pickle that could execute code, so '):
      torch_file.read(path)
  assert not folder.exists()
  path.write_bytes(path.read_bytes()[:100])
  with pytest.raises(errors.UserError, match='is damaged'):
    torch_file.read(path)
  torch.save([1, 2], path)
  with pytest.raises(errors.UserError, match='holds no arrays by name'):
    torch_file.read(path)


def test_wrappers_are_removed():
  assert torch_file.unwrapped({'model': {'a': 1}, 'epoch': 2}) == {'a': 1}
  assert torch_file.unwrapped({'model': 'resnet18', 'a': 1}) == {
      'model': 'resnet18', 'a': 1}
  assert torch_file.unwrapped([1]) == {}
