"""Which configs may share a folder; what a finished run says of itself."""

import json

import pytest

from ssl_jax import errors, workdir

CONFIG = {'seed': 0, 'data': {'name': 'digits'}, 'log': {'every_steps': 1}}


@pytest.mark.parametrize('changed', [
    {}, {'log': {'every_steps': 9}}, {'data': {'name': 'digits', 'image_size': None}}])
def test_the_same_run_goes_on(tmp_path, changed):
  workdir.prepare(tmp_path, CONFIG)
  workdir.write_result(tmp_path, CONFIG, {'steps': 3})
  workdir.prepare(tmp_path, CONFIG | changed)
  assert workdir.finished(tmp_path, CONFIG | changed) == {'steps': 3}


@pytest.mark.parametrize('changed, sentence', [
    ({'seed': 1}, 'seed: 0 -> 1'),
    ({'data': {'name': 'digits', 'image_size': 16}}, "data.image_size: 'absent' -> 16"),
    ({'freeze_until': None}, "freeze_until: 'absent' -> None")])
def test_another_run_is_told_what_differs(tmp_path, changed, sentence):
  workdir.prepare(tmp_path, CONFIG)
  workdir.write_result(tmp_path, CONFIG, {'steps': 3})
  with pytest.raises(errors.UserError, match=sentence):
    workdir.prepare(tmp_path, CONFIG | changed)
  assert workdir.finished(tmp_path, CONFIG | changed) is None


@pytest.mark.parametrize('result, rows, told', [
    ({'test': {'top1': 0.9331}}, [], 'top-1 93.31 % (test)'),
    ({'test': {'top1': 0.9, 'mean_per_class': 0.5}, 'score': 'mean_per_class'}, [],
     'mean per class 50.00 % (test)'),
    ({'steps': 2}, [{'step': 1, 'train/loss': 9.}, {'step': 2, 'train/loss': 3.8364,
                                                    'probe/top1': 0.5771},
                    {'step': 2, 'knn/top1': 0.5}],
     'loss 3.836, probe top-1 57.7 % (train)'),
    ({'steps': 1}, [{'step': 1, 'train/loss': 0.25}], 'loss 0.25'),
    ({'steps': 0}, [], 'untrained'), ({'test': None}, [], 'done')])
def test_outcome_of_a_finished_run(tmp_path, result, rows, told):
  workdir.write_result(tmp_path, {}, result)
  (tmp_path / 'metrics.jsonl').write_text(''.join(json.dumps(r) + '\n' for r in rows))
  assert workdir.outcome(tmp_path, {}) == told
