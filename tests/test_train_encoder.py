"""Tests what identifies a trained encoder."""

import shutil

import jax
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.train import checkpoint, encoder


def save(folder, *, value=1., step=3, dtype=np.float32, name='kernel'):
  """Writes a checkpoint of one small array."""
  arrays = jax.tree.map(jax.numpy.asarray, {
      'params': {name: np.full((2, 3), value, dtype), 'scale': np.ones(1, np.float32)}})
  with checkpoint.Checkpoints(folder / 'checkpoints') as checkpoints:
    checkpoints.save(step, {'x': arrays}, arrays, {'seed': 0})
  return folder


def test_the_same_content_has_the_same_digest_wherever_and_whenever_written(tmp_path):
  first = encoder.identify(save(tmp_path / 'a'))
  assert first['path'] == str(tmp_path / 'a' / 'checkpoints') and first['step'] == 3
  shutil.copytree(tmp_path / 'a', tmp_path / 'copy')
  again = [encoder.identify(path) for path in (
      tmp_path / 'copy', save(tmp_path / 'b'), tmp_path / 'a' / 'checkpoints')]
  assert {x['digest'] for x in again} == {first['digest']}


def test_other_values_types_and_names_have_other_digests(tmp_path):
  digests = {encoder.identify(save(tmp_path / str(i), **fields))['digest']
             for i, fields in enumerate((
                 {}, {'value': 1 + 1e-6}, {'dtype': np.float16}, {'name': 'bias'}))}
  assert len(digests) == 4


def test_an_encoder_is_read_once_but_not_if_it_was_replaced(tmp_path, monkeypatch):
  reads = []
  read = checkpoint.read_arrays
  monkeypatch.setattr(checkpoint, 'read_arrays',
                      lambda *args: (reads.append(args), read(*args))[1])
  folder = save(tmp_path / 'a')
  first, second = encoder.identify(folder), encoder.identify(folder)
  assert first == second and len(reads) == 1
  shutil.rmtree(folder)
  other = encoder.identify(save(folder, value=2.))
  assert other['step'] == 3 and other['digest'] != first['digest']


def test_the_newest_checkpoint_is_meant(tmp_path):
  first = encoder.identify(save(tmp_path))
  second = encoder.identify(save(tmp_path, value=2., step=5))
  assert (first['step'], second['step']) == (3, 5)
  assert first['digest'] != second['digest']


def test_an_encoder_that_is_gone_has_a_path_alone(tmp_path):
  with pytest.raises(errors.UserError, match='holds no checkpoint'):
    encoder.identify(tmp_path)
  assert encoder.identify_if_there(tmp_path) == {'path': str(tmp_path)}
  shutil.rmtree(save(tmp_path) / 'checkpoints' / '3' / 'encoder')
  with pytest.raises(errors.UserError, match='step 3 cannot be read'):
    encoder.identify(tmp_path)


def test_a_checkpoint_that_came_in_between_is_noticed(tmp_path, monkeypatch):
  monkeypatch.setattr(encoder, 'load', lambda path, mesh: encoder.TrainedEncoder(
      None, None, {}, 7, (8, 8, 3), ()))
  with pytest.raises(errors.UserError, match='from step 3 to 7 .*run the same command'):
    encoder.load_identified({'path': 'runs/a', 'step': 3}, None)
