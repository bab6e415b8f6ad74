"""Tests that a study runs unfinished stages, resumes, and isolates failures."""

import json
import logging
import shutil

import numpy as np
import pytest
import stub_encoder
from tiny_study import by_labels, config, head

from ssl_jax import errors, report
from ssl_jax.jobs import evaluate, finetune, linear_probe, pretrain
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.studies import run
from ssl_jax.train import checkpoint
from ssl_jax.train import encoder as encoder_lib


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


@pytest.fixture
def ran(monkeypatch, tmp_path):
  """Makes stages only write a result; returns [(binary, folder, fields), ...]."""
  calls = []

  def fake(binary, place):
    def run(fields, *folders, **unused):
      def work(folder):
        calls.append((binary, str(folder.relative_to(tmp_path)), fields))
        if binary == 'pretrain':
          (folder / 'checkpoints' / '3').mkdir(parents=True)
        return {'test': {'top1': 0.5}}
      workdir_lib.run_once(folders[place], fields, work, binary != 'evaluate')
    return run

  def identify(path):
    folder = checkpoint.locate(path)
    return {'path': str(folder), 'step': checkpoint.newest_step(folder), 'digest': 'd'}

  monkeypatch.setattr(encoder_lib, 'identify_if_there', identify)

  monkeypatch.setattr(pretrain, 'run', fake('pretrain', 0))
  for module in (evaluate, linear_probe, finetune):
    monkeypatch.setattr(module, 'run', fake(module.__name__.split('.')[-1], 1))
  monkeypatch.setattr(report, 'write', lambda workdir: workdir / 'index.html')
  return calls


def folders(ran):
  return [folder for _, folder, _ in ran]


def described(workdir):
  return json.loads((workdir / 'study.json').read_text())


def result(workdir, *parts):
  return json.loads(workdir.joinpath(*parts, 'result.json').read_text())['result']


def test_a_whole_study(tmp_path, monkeypatch):
  monkeypatch.setattr(report.theme, 'render', lambda *args: b'')  # half of the time
  fields = config()
  fields['evaluations'] = {
      'knn': fields['evaluations']['knn'],
      'finetune': {**by_labels(head()), 'freeze_until': None, 'methods': ['random']}}
  page = run.run(fields, tmp_path, 'the command')
  for stage in ('simclr/seed0/knn', 'random/seed0/knn', 'random/seed0/finetune_few',
                'random/seed0/finetune_all'):
    test = result(tmp_path, stage)['test']
    assert np.sum(test['confusion']) == test['n'] == 20
  assert result(tmp_path, 'random/seed0/pretrain')['steps'] == 0
  few, every = (result(tmp_path, f'random/seed0/finetune_{name}')['train']['n']
                for name in ('few', 'all'))
  assert (few, every) == (8, 80)
  text = page.read_text()
  assert 'SimCLR' in text and 'Random encoder' in text
  assert described(tmp_path)['methods'] == ['simclr', 'random']
  assert described(tmp_path)['command'] == 'the command'
  assert {'commit', 'hardware', 'started'} <= set(described(tmp_path))


def test_stages_come_seed_by_seed_in_folders_of_their_own(ran, tmp_path):
  run.run(config(seeds=(0, 1)), tmp_path)
  assert folders(ran) == [f'{method}/seed{seed}/{stage}' for seed in (0, 1)
                          for method, stage in (
                              ('simclr', 'pretrain'), ('simclr', 'knn'),
                              ('simclr', 'probe'), ('random', 'pretrain'),
                              ('random', 'knn'))]
  assert all(fields['seed'] == int(folder.split('seed')[1][0])
             for _, folder, fields in ran)


def test_what_is_done_is_not_done_again(ran, tmp_path):
  run.run(config(), tmp_path)
  ran.clear()
  run.run(config(seeds=(0, 1)), tmp_path)
  assert len(ran) == 5 and all('/seed1/' in folder for folder in folders(ran))


def test_scores_are_logged_as_soon_as_they_are_measured(ran, tmp_path, caplog):
  with caplog.at_level(logging.INFO):
    run.run(config(), tmp_path)
    first = [r.getMessage() for r in caplog.records]
    caplog.clear()
    run.run(config(), tmp_path)
    again = [r.getMessage() for r in caplog.records]
    caplog.clear()
    shutil.rmtree(tmp_path / 'simclr' / 'seed0' / 'probe')
    run.run(config(), tmp_path)
    rest = [r.getMessage() for r in caplog.records]
  assert len(first) == 10 and first[2:4] == [
      '[2/5] simclr, seed 0: knn', '[2/5] simclr, seed 0: knn  top-1 50.00 % (test)']
  assert again == [f'{tmp_path} is finished (5 stages); nothing was done']
  lines = '\n'.join(rest).splitlines()
  assert lines[1:3] == ['[2/5] simclr, seed 0: knn  top-1 50.00 % (test) (done)',
                        '[3/5] simclr, seed 0: probe']
  assert len(lines) == 6 and lines[-1].endswith('(done)')


def test_goes_on_where_it_was_killed(ran, tmp_path, monkeypatch):
  original = evaluate.run

  def killed(*args, **kwargs):
    raise errors.Preempted(3)

  monkeypatch.setattr(evaluate, 'run', killed)
  with pytest.raises(errors.Preempted):
    run.run(config(), tmp_path)
  assert folders(ran) == ['simclr/seed0/pretrain']
  monkeypatch.setattr(evaluate, 'run', original)
  run.run(config(), tmp_path)
  assert folders(ran).count('simclr/seed0/pretrain') == 1 and len(ran) == 5


def test_the_result_of_another_config_is_never_replaced(ran, tmp_path, caplog):
  run.run(config(), tmp_path)
  ran.clear()
  changed = config()
  changed['evaluations']['knn']['protocol']['k'] = 3
  changed['evaluations']['probe']['train']['epochs'] = 2
  with pytest.raises(errors.UserError, match='3 stages failed'):
    run.run(changed, tmp_path)
  words = 'seed0/knn has the result of another run (protocol.k: 5 -> 3)'
  assert not ran and words in caplog.text
  saved = json.loads((tmp_path / 'simclr/seed0/knn/result.json').read_text())
  assert saved['config']['protocol']['k'] == 5


def test_results_outlive_the_checkpoint_and_a_move(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(report.theme, 'render', lambda *args: b'')
  fields = config()
  del fields['methods']['simclr'], fields['evaluations']['probe']
  run.run(fields, tmp_path / 'here')
  (tmp_path / 'here').rename(tmp_path / 'there')
  monkeypatch.setattr(evaluate, 'run', None)
  monkeypatch.setattr(pretrain, 'run', None)
  caplog.set_level('INFO')
  run.run(fields, tmp_path / 'there')
  assert 'there is finished (2 stages); nothing was done' in caplog.text
  shutil.rmtree(tmp_path / 'there/random/seed0/pretrain/checkpoints')
  run.run(fields, tmp_path / 'there')


def test_a_failed_pretraining_takes_only_its_own_evaluations_along(
    ran, tmp_path, monkeypatch, caplog):
  def diverges(fields, folder, label):
    if fields['train']['epochs']:
      raise errors.UserError('the loss is nan')
    original(fields, folder, label=label)

  original = pretrain.run
  monkeypatch.setattr(pretrain, 'run', diverges)
  with pytest.raises(errors.UserError, match=(
      r'^1 stage failed: simclr, seed 0: pretrain; the log above gives the reasons')):
    run.run(config(), tmp_path)
  assert caplog.text.count('the loss is nan') == 1
  assert folders(ran) == ['random/seed0/pretrain', 'random/seed0/knn']


def test_a_failed_evaluation_fails_alone(ran, tmp_path, monkeypatch, caplog):
  def fails(*args):
    raise errors.UserError('no such endpoint')

  monkeypatch.setattr(evaluate, 'run', fails)
  with pytest.raises(errors.UserError, match='^2 stages failed: .*simclr, seed 0: k'):
    run.run(config(), tmp_path)
  assert caplog.text.count('no such endpoint') == 1
  assert 'random, seed 0: knn failed as simclr, seed 0: knn did' in caplog.text
  assert 'simclr/seed0/probe' in folders(ran)


def test_a_data_set_that_is_not_there_fails_alone(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(report.theme, 'render', lambda *args: b'')
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'none'))
  fields = config()
  fields['methods'].pop('simclr')
  fields['evaluations'] = {'knn': {**fields['evaluations']['knn'], 'data_sets': {
      name: {'data': {'name': name}} for name in ('dtd', 'food10l', 'digits')}}}
  with pytest.raises(errors.UserError, match='2 stages failed.*random, seed 0: knn_dt'):
    run.run(fields, tmp_path / 'w')
  for words in ('knn_dtd failed: ', '`tfds build dtd', "'food10l', which is neither a",
                "did you mean 'food101'"):
    assert words in caplog.text
  assert result(tmp_path, 'w/random/seed0/knn_digits')['test']['n'] == 359


def given(tmp_path, *seeds):
  """Returns a study of runs that exist already, one for each seed."""
  for seed in seeds:
    (tmp_path / f'run{seed}' / 'checkpoints' / '7').mkdir(parents=True)
  fields = config(seeds=seeds)
  # Its other fields, with their mistakes, are those of a pre-training that is not run.
  fields['methods'] = {'simclr': {'checkpoint': str(tmp_path / 'run{seed}'), 'no': 1}}
  return fields


def test_a_method_may_be_a_checkpoint(ran, tmp_path, monkeypatch):
  used = []
  original = evaluate.run
  monkeypatch.setattr(evaluate, 'run', lambda fields, path, *rest: (
      used.append(path), original(fields, path, *rest)))
  fields = given(tmp_path, 0, 2)
  run.run(fields, tmp_path / 'w')
  assert [binary for binary, _, _ in ran] == ['evaluate', 'linear_probe'] * 2
  assert used == [str(tmp_path / f'run{seed}/checkpoints') for seed in (0, 2)]
  assert ran[2][2]['pretrain'] == {'checkpoint': used[1], 'seed': 2, 'step': 7}
  ran.clear()
  run.run(fields, tmp_path / 'w')
  assert not ran
  (tmp_path / 'run2' / 'checkpoints' / '9').mkdir()  # it was trained on
  with pytest.raises(errors.UserError, match='1 stage failed.*simclr, seed 2: probe'):
    run.run(fields, tmp_path / 'w')  # its folder holds checkpoints and logs too
  assert [folder for _, folder, _ in ran] == ['w/simclr/seed2/knn']


def test_a_checkpoint_that_is_not_there_is_found_before_anything_runs(ran, tmp_path):
  fields = given(tmp_path, 0)
  fields['seeds'] = [0, 1]
  with pytest.raises(errors.UserError, match='methods.simclr: .*run1 holds no check'):
    run.run(fields, tmp_path / 'w')
  assert not ran


def test_study_json_passes_on_what_the_report_draws(ran, tmp_path):
  heatmap = {'axes': ['crop'], 'cells': {'simclr': [0, 0]}}
  run.run({**config(), 'heatmap': heatmap, 'rehearsal': 'Made small.'}, tmp_path)
  assert described(tmp_path)['heatmap'] == heatmap
  assert described(tmp_path)['rehearsal'] == 'Made small.'
  run.run(config(), tmp_path)
  assert described(tmp_path)['heatmap'] is None
  assert described(tmp_path)['rehearsal'] == ''


def test_study_json_lists_evaluations_with_their_groups_and_methods(ran, tmp_path):
  fields = config()
  fields['evaluations'] = {
      'probe': by_labels(head()),
      'knn': {**fields['evaluations']['knn'], 'methods': ['random'], 'data_sets': {
          'digits': {'data': {'name': 'digits'}}}}}
  run.run(fields, tmp_path)
  found = described(tmp_path)
  assert found['evaluations'] == ['probe_few', 'probe_all', 'knn_digits']
  assert found['subsets'] == {'probe_few': ['probe', 'few'],
                              'probe_all': ['probe', 'all']}
  assert found['data_sets'] == {'knn_digits': ['knn', 'digits']}
  assert found['wanted'] == {'probe_few': ['simclr', 'random'],
                             'probe_all': ['simclr', 'random'],
                             'knn_digits': ['random']}


def test_a_mistake_is_found_before_anything_is_run_or_written(ran, tmp_path):
  fields = config()
  fields['evaluations']['knn']['protocol']['kk'] = 1
  with pytest.raises(errors.UserError, match='evaluations.knn: '):
    run.run(fields, tmp_path / 'w')
  assert not (tmp_path / 'w').exists() and not ran
