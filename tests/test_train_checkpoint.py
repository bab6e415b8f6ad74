"""Tests checkpoints: device counts, the encoder, damage, other architectures."""

import dataclasses
import hashlib
import re

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors
from ssl_jax.jobs import pretrain
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import checkpoint
from ssl_jax.train import encoder as encoder_lib

STUB = {'name': 'stub'}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def state_on(devices):
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  values = {'w': np.arange(6.).reshape(2, 3), 'step': np.int32(7)}
  return mesh_lib.put_replicated(mesh, values), mesh_lib.replicated(mesh)


def test_saved_on_8_devices_restored_on_4(tmp_path):
  state, _ = state_on(8)
  with checkpoint.Checkpoints(tmp_path / 'c') as checkpoints:
    checkpoints.save(7, state, state, {'a': 1})
  target, sharding = state_on(4)
  with checkpoint.Checkpoints(tmp_path / 'c') as checkpoints:
    restored = checkpoints.restore_latest(checkpoint.abstract(target, sharding))
  np.testing.assert_array_equal(restored['w'], state['w'])
  assert restored['w'].sharding == sharding


def test_training_started_on_8_devices_ends_alike_on_4(tmp_path, monkeypatch):
  fields = {**tiny.config(epochs=2), 'model': STUB}
  eight = mesh_lib.data_mesh()
  four = mesh_lib.data_mesh(jax.devices()[:4])

  def trained(folder, epochs_and_meshes):
    for epochs, mesh in epochs_and_meshes:
      monkeypatch.setattr(mesh_lib, 'data_mesh', lambda mesh=mesh: mesh)
      run = pretrain.prepare(pretrain.parse(fields), fields, folder, 'test')
      state = pretrain.loop.fit(dataclasses.replace(run, epochs=epochs))
    return jax.device_get(state.variables.params)

  (tmp_path / 'a').mkdir(), (tmp_path / 'b').mkdir()
  whole = trained(tmp_path / 'a', [(2, eight)])
  moved = trained(tmp_path / 'b', [(1, eight), (2, four)])
  for x, y in zip(jax.tree.leaves(whole), jax.tree.leaves(moved), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)


def test_encoder_loads_alone_and_is_the_trained_one(tmp_path):
  folder = tiny.pretrained(tmp_path, model=STUB)
  encoder = encoder_lib.load(folder, mesh_lib.data_mesh())
  assert encoder.step == 5 and encoder.image_shape == (8, 8, 3)
  assert len(encoder.class_names) == 4
  batch = {'image': np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)}
  endpoints = encoder.method.encode(encoder.variables, batch)
  assert endpoints['pooled'].shape == (16, 6)
  again = encoder.method.encode(encoder.variables, batch)
  np.testing.assert_array_equal(endpoints['projection'], again['projection'])


def truncate(step_folder):
  """Cuts the largest data file in half, as a full disk would."""
  largest = max((p for p in step_folder.rglob('*') if p.is_file()),
                key=lambda p: p.stat().st_size)
  largest.write_bytes(largest.read_bytes()[:largest.stat().st_size // 2])


def truncate_all(step_folder):
  """Cuts every data file in half, except for those that list the arrays."""
  for path in step_folder.rglob('*'):
    if path.is_file() and path.name != '_METADATA':
      path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def contents(folder):
  """Returns a hash of every file below a folder, by its relative path."""
  return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
          for path in sorted(folder.rglob('*')) if path.is_file()}


def saved(folder, state, steps):
  """Writes a checkpoint of each step, `state` plus the step; returns the folder."""
  with checkpoint.Checkpoints(folder) as checkpoints:
    for step in steps:
      later = jax.tree.map(lambda x, step=step: x + step, state)
      checkpoints.save(step, later, state, {})
  return folder


@pytest.mark.parametrize('damage', [
    lambda step: truncate(step / 'state'), lambda step: truncate_all(step / 'state'),
    lambda step: (step / 'state' / '_METADATA').unlink(),
    lambda step: (step / 'config' / 'metadata').write_text('{')])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(tmp_path, caplog, damage):
  state, sharding = state_on(1)
  target = checkpoint.abstract(state, sharding)
  folder = saved(tmp_path / 'c', state, (1, 2))
  damage(folder / '2')
  before = contents(folder / '2')
  with checkpoint.Checkpoints(folder) as checkpoints:
    restored = checkpoints.restore_latest(target)
    assert checkpoints.steps() == [1] == [checkpoints.written()]
    checkpoints.save(2, restored, state, {})  # the step can be saved again
  np.testing.assert_array_equal(restored['w'], state['w'] + 1)
  assert 'Checkpoint 2' in caplog.text and 'is now 2.damaged.' in caplog.text
  assert contents(folder / '2.damaged') == before
  damage(folder / '2')
  with checkpoint.Checkpoints(folder) as checkpoints:
    checkpoints.restore_latest(target)
  assert contents(folder / '2.damaged') == before
  assert sorted(p.name for p in folder.iterdir()) == ['1', '2.damaged', '2.damaged.2']
  assert checkpoint.newest_step(checkpoint.locate(folder)) == 1


def test_no_readable_checkpoint_is_one_sentence_and_all_stay(tmp_path):
  state, sharding = state_on(1)
  folder = saved(tmp_path / 'c', state, (1, 2))
  truncate(folder / '1' / 'state'), truncate(folder / '2' / 'state')
  before = contents(folder)
  with checkpoint.Checkpoints(folder) as checkpoints:
    with pytest.raises(errors.UserError, match='none of the checkpoints'):
      checkpoints.restore_latest(checkpoint.abstract(state, sharding))
  assert contents(folder) == before


@pytest.mark.parametrize('changed, words', [
    ({'w': np.zeros((2, 4), np.float32)}, [
        r'w is float\d+ \(2, 3\) in the checkpoint and float32 \(2, 4\) in this run']),
    ({'step': np.int16(7)},
     [r'step is int32 \(\) in the checkpoint and int16 \(\) in this run']),
    ({'mu': np.zeros(2), 'nu': (np.zeros(2), np.zeros(2)), 'w': None}, [
        'mu is not in the checkpoint; nu/0 is not .*; nu/1 is not .*; and 1 more'])])
@pytest.mark.parametrize('newest_is_damaged', [False, True])
def test_a_checkpoint_that_does_not_fit_says_what_differs_and_stays(
    tmp_path, changed, words, newest_is_damaged):
  state, sharding = state_on(1)
  folder = saved(tmp_path / 'c', state, (1, 2))
  if newest_is_damaged:
    truncate(folder / '2' / 'state')
  before = contents(folder)
  with checkpoint.Checkpoints(folder) as checkpoints:
    with pytest.raises(errors.UserError) as error:
      checkpoints.restore_latest(checkpoint.abstract({**state, **changed}, sharding))
  step = 1 if newest_is_damaged else 2
  for word in [f'checkpoint {step} in .*/c is intact but does not fit', *words,
               'choose another --workdir']:
    assert re.search(word, str(error.value)), error.value
  assert contents(folder) == before


def test_no_folder_is_made_before_the_first_save(tmp_path):
  state, sharding = state_on(1)
  with checkpoint.Checkpoints(tmp_path / 'c') as checkpoints:
    assert checkpoints.restore_latest(checkpoint.abstract(state, sharding)) is None
    assert checkpoints.steps() == [] and checkpoints.written() is None
    assert not (tmp_path / 'c').exists()
    checkpoints.save(3, state, state, {})
  with checkpoint.Checkpoints(tmp_path / 'c') as checkpoints:
    assert checkpoints.steps() == [3]


def test_no_checkpoint_at_all(tmp_path):
  with pytest.raises(errors.UserError, match='holds no checkpoint'):
    checkpoint.locate(tmp_path)


def test_checkpoint_of_another_architecture(tmp_path):
  folder = tiny.pretrained(tmp_path, model=STUB)
  step, _ = checkpoint.read_config(checkpoint.locate(folder))
  other = {'params': {'w': jax.ShapeDtypeStruct((3,), np.float32)}}
  with pytest.raises(errors.UserError, match='does not fit the architecture'):
    checkpoint.restore_encoder(checkpoint.locate(folder), step, other)


def test_old_checkpoints_are_removed(tmp_path):
  state, _ = state_on(1)
  with checkpoint.Checkpoints(tmp_path / 'c') as checkpoints:
    for step in (1, 2, 3):
      checkpoints.save(step, state, state, {})
  with checkpoint.Checkpoints(tmp_path / 'c') as checkpoints:
    assert checkpoints.steps() == [2, 3]
