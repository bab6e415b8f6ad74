"""Which configs may share a folder."""

import pytest

from ssl_jax import errors, workdir

CONFIG = {'seed': 0, 'data': {'name': 'digits'}, 'log': {'every_steps': 1}}


@pytest.mark.parametrize('changed', [
    {}, {'log': {'every_steps': 9}}, {'data': {'name': 'digits', 'image_size': None}}])
def test_the_same_run_goes_on(tmp_path, changed):
  workdir.claim(workdir.prepare(tmp_path, CONFIG), CONFIG)
  workdir.write_result(tmp_path, CONFIG, {'steps': 3})
  workdir.prepare(tmp_path, CONFIG | changed)
  assert workdir.finished(tmp_path, CONFIG | changed) == {'steps': 3}


@pytest.mark.parametrize('changed, sentence', [
    ({'seed': 1}, 'seed: 0 -> 1'),
    ({'data': {'name': 'digits', 'image_size': 16}}, "data.image_size: 'absent' -> 16"),
    ({'freeze_until': None}, "freeze_until: 'absent' -> None")])
def test_another_run_is_told_what_differs(tmp_path, changed, sentence):
  workdir.claim(workdir.prepare(tmp_path, CONFIG), CONFIG)
  workdir.write_result(tmp_path, CONFIG, {'steps': 3})
  with pytest.raises(errors.UserError, match=sentence):
    workdir.prepare(tmp_path, CONFIG | changed)
  assert workdir.finished(tmp_path, CONFIG | changed) is None


def test_a_folder_is_free_until_it_is_claimed(tmp_path):
  folder = workdir.prepare(tmp_path / 'run', CONFIG)
  assert not list(folder.iterdir())
  workdir.prepare(folder, CONFIG | {'seed': 1})
  workdir.claim(folder, CONFIG | {'seed': 1})
  with pytest.raises(errors.UserError, match='seed: 1 -> 0'):
    workdir.prepare(folder, CONFIG)
