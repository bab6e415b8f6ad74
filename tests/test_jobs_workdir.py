"""Tests which runs may share a folder, and that each is done once."""

import json

import pytest

from ssl_jax import errors
from ssl_jax.jobs import workdir

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
def test_the_message_for_another_run_names_what_differs(tmp_path, changed, sentence):
  workdir.claim(workdir.prepare(tmp_path, CONFIG), CONFIG)
  workdir.write_result(tmp_path, CONFIG, {'steps': 3})
  with pytest.raises(errors.UserError, match=sentence):
    workdir.prepare(tmp_path, CONFIG | changed)
  assert workdir.finished(tmp_path, CONFIG | changed) is None


ENCODER = {'path': '/runs/a/checkpoints', 'step': 5, 'digest': 'aaaa'}
TRAINED_ON = {'path': '/runs/a/checkpoints', 'step': 9, 'digest': 'bbbb'}
RETRAINED = {'path': '/runs/a/checkpoints', 'step': 5, 'digest': 'cccc'}
MOVED = {**ENCODER, 'path': '/elsewhere/checkpoints'}


def run(folder, config=CONFIG, encoder=ENCODER, resumable=True):
  """Returns the digest in the result, and whether the work was done in this call."""
  worked = []

  def work(place):
    worked.append(place)
    return {'step': encoder['step'], 'of': encoder.get('digest')}
  result = workdir.run_once(folder, {**config, 'encoder': encoder}, work, resumable)
  assert worked in ([], [folder])
  return result['of'], bool(worked)


@pytest.mark.parametrize('resumable', [False, True])
def test_a_run_is_done_once_and_says_so(tmp_path, caplog, resumable):
  caplog.set_level('INFO')
  assert run(tmp_path, resumable=resumable) == ('aaaa', True)
  assert 'nothing was done' not in caplog.text
  assert run(tmp_path, resumable=resumable) == ('aaaa', False)
  assert f'{tmp_path} is finished (step 5, 2' in caplog.text
  assert run(tmp_path, encoder=MOVED, resumable=resumable) == ('aaaa', False)


@pytest.mark.parametrize('other, words', [
    (TRAINED_ON, 'step 5 of /runs/a/checkpoints .aaaa. -> step 9'),
    (RETRAINED, 'aaaa. -> step 5 of /runs/a/checkpoints .cccc')])
def test_training_for_another_encoder_is_refused_before_and_after_its_end(
    tmp_path, other, words):
  workdir.claim(workdir.prepare(tmp_path / 'begun', CONFIG),
                {**CONFIG, 'encoder': ENCODER})
  run(tmp_path / 'done')
  before = (tmp_path / 'done' / 'result.json').read_bytes()
  for folder in ('begun', 'done'):
    with pytest.raises(errors.UserError, match=words):
      run(tmp_path / folder, encoder=other)
  assert (tmp_path / 'done' / 'result.json').read_bytes() == before
  assert run(tmp_path / 'begun', encoder=MOVED) == ('aaaa', True)


def test_what_takes_seconds_is_done_again_and_the_old_result_kept(tmp_path, caplog):
  caplog.set_level('INFO')
  for encoder in (ENCODER, RETRAINED, TRAINED_ON):
    assert run(tmp_path, encoder=encoder, resumable=False) == (encoder['digest'], True)
  kept = {p.name: json.loads(p.read_text())['result']['of'] for p in tmp_path.iterdir()}
  assert kept == {'result.json': 'bbbb', 'result_step5_aaaa.json': 'aaaa',
                  'result_step5_cccc.json': 'cccc'}
  assert 'it was renamed to result_step5_cccc.json' in caplog.text


@pytest.mark.parametrize('resumable', [False, True])
def test_other_settings_are_refused_whatever_the_encoder(tmp_path, resumable):
  run(tmp_path, resumable=resumable)
  for encoder in (ENCODER, TRAINED_ON):
    with pytest.raises(errors.UserError, match='another run .seed: 0 -> 1'):
      run(tmp_path, {**CONFIG, 'seed': 1}, encoder, resumable)
  assert workdir.other_settings(tmp_path, {**CONFIG, 'seed': 1}) == ['seed: 0 -> 1']
  assert workdir.other_settings(tmp_path, CONFIG) == []


def test_a_measurement_does_not_go_where_a_training_is(tmp_path):
  workdir.claim(tmp_path, {'seed': 0, 'model': {}})
  with pytest.raises(errors.UserError, match='belongs to a run with another config'):
    run(tmp_path, resumable=False)


def test_a_refused_measurement_claims_nothing(tmp_path):
  def work(folder):
    raise errors.UserError('no such endpoint')
  with pytest.raises(errors.UserError, match='no such endpoint'):
    workdir.run_once(tmp_path, {**CONFIG, 'encoder': ENCODER}, work, resumable=False)
  assert run(tmp_path, {**CONFIG, 'seed': 1}, resumable=False) == ('aaaa', True)


@pytest.mark.parametrize('step, same', [(5, True), (4, False)])
def test_results_of_earlier_versions_count_by_their_step(tmp_path, step, same):
  (tmp_path / 'result.json').write_text(json.dumps(
      {'config': CONFIG, 'result': {'step': step, 'of': 'then'}}))
  if same:
    assert run(tmp_path) == ('then', False)
  else:
    with pytest.raises(errors.UserError, match='encoder: step 4 -> step 5 of /runs/a'):
      run(tmp_path)
    assert run(tmp_path, resumable=False) == ('aaaa', True)
    assert (tmp_path / 'result_step4.json').exists()


def test_a_result_outlives_the_encoder(tmp_path, caplog):
  caplog.set_level('INFO')
  run(tmp_path / 'a')
  gone = {'path': str(tmp_path / 'gone')}
  assert run(tmp_path / 'a', encoder=gone | {'step': None}) == ('aaaa', False)
  assert f'{tmp_path}/gone has no encoder now' in caplog.text
  with pytest.raises(errors.UserError, match='gone holds no checkpoint'):
    run(tmp_path / 'b', encoder=gone)
  assert not (tmp_path / 'b').exists()


def test_a_run_that_a_study_was_given_may_have_moved(tmp_path):
  given = {'checkpoint': '/runs/a', 'step': 5, 'seed': 0}
  run(tmp_path, {**CONFIG, 'pretrain': given})
  moved = {**given, 'checkpoint': '/b'}
  assert run(tmp_path, {**CONFIG, 'pretrain': moved}, MOVED) == ('aaaa', False)


def test_settings_have_a_short_name():
  names = {workdir.name_of_settings({**CONFIG, 'protocol': {'k': k}, 'encoder': other})
           for k in (1, 2) for other in (ENCODER, TRAINED_ON)}
  assert len(names) == 2 and {len(name) for name in names} == {6}


def test_a_folder_is_free_until_it_is_claimed(tmp_path):
  folder = workdir.prepare(tmp_path / 'run', CONFIG)
  assert not list(folder.iterdir())
  workdir.prepare(folder, CONFIG | {'seed': 1})
  workdir.claim(folder, CONFIG | {'seed': 1})
  with pytest.raises(errors.UserError, match='seed: 1 -> 0'):
    workdir.prepare(folder, CONFIG)


@pytest.mark.parametrize('result, metrics, text', [
    ({'test': {'top1': 0.9331}}, [], 'top-1 93.31 % (test)'),
    ({'test': {'top1': 0.9, 'mean_per_class': 0.5}, 'score': 'mean_per_class'}, [],
     'mean per class 50.00 % (test)'),
    ({'steps': 2}, [{'step': 1, 'train/loss': 9.}, {'step': 2, 'train/loss': 3.8364,
                                                    'probe/top1': 0.5771},
                    {'step': 2, 'knn/top1': 0.5}],
     'loss 3.836, probe top-1 57.7 % (train)'),
    ({'steps': 1}, [{'step': 1, 'train/loss': 0.25}], 'loss 0.25'),
    ({'steps': 0}, [], 'untrained'), ({'test': None}, [], 'done')])
def test_outcome_of_a_finished_run(tmp_path, result, metrics, text):
  workdir.write_result(tmp_path, {}, result)
  (tmp_path / 'metrics.jsonl').write_text(
      ''.join(json.dumps(m) + '\n' for m in metrics))
  assert workdir.outcome(tmp_path, {}) == text
