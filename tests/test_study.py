"""A whole study: stages, skipping, going on, and failures that stay local."""

import json

import numpy as np
import pytest
import tiny

from ssl_jax import errors, evaluate, pretrain, study


def config(seeds=(0,)):
  simclr = {k: v for k, v in tiny.config(epochs=1).items() if k != 'seed'}
  untrained = {**simclr, 'train': {'epochs': 0}}
  return {
      'name': 'tiny', 'seeds': list(seeds), 'data_label': 'synthetic',
      'methods': {'simclr': simclr, 'random': untrained},
      'labels': {'simclr': 'SimCLR', 'random': 'Random encoder'},
      'evaluations': {
          'knn': {'protocol': {'name': 'knn', 'k': 5}},
          'probe': {'features': {'endpoint': 'pooled', 'pool': 'mean',
                                 'batch_size': 16},
                    'feed': {'batch_size': 16}, 'augment': {'recipe': 'crop_flip'},
                    'optim': {'name': 'sgd', 'learning_rate': 0.1},
                    'train': {'epochs': 1}, 'log': {}}}}


def result(workdir, *parts):
  return json.loads(workdir.joinpath(*parts, 'result.json').read_text())['result']


def test_stages_results_and_report(tmp_path):
  page = study.run(config(), tmp_path)
  for method in ('simclr', 'random'):
    knn = result(tmp_path, method, 'seed0', 'knn')
    assert np.sum(knn['test']['confusion']) == knn['test']['n']
    assert result(tmp_path, method, 'seed0', 'probe')['test']['n'] == knn['test']['n']
  assert result(tmp_path, 'random', 'seed0', 'pretrain')['steps'] == 0
  text = page.read_text()
  assert 'SimCLR' in text and 'Random encoder' in text
  described = json.loads((tmp_path / 'study.json').read_text())
  assert described['methods'] == ['simclr', 'random']
  assert {'commit', 'hardware', 'started', 'command'} <= set(described)


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
  study.run(config(), tmp_path)
  before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('result.json')}
  study.run(config(seeds=(0, 1)), tmp_path)
  after = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('result.json')}
  assert before.items() <= after.items()
  assert len(after) == 2 * len(before)
  assert all('seed1' in str(p) for p in after.keys() - before.keys())


def test_goes_on_where_it_was_killed(tmp_path, monkeypatch):
  calls = []

  def killed_at_the_second(*args, **kwargs):
    calls.append(args)
    if len(calls) == 2:
      raise errors.Preempted(3)
    return original(*args, **kwargs)

  original = evaluate.run
  monkeypatch.setattr(evaluate, 'run', killed_at_the_second)
  with pytest.raises(errors.Preempted):
    study.run(config(), tmp_path)
  trained = (tmp_path / 'simclr/seed0/pretrain/result.json').stat().st_mtime_ns
  monkeypatch.setattr(evaluate, 'run', original)
  study.run(config(), tmp_path)
  assert (tmp_path / 'simclr/seed0/pretrain/result.json').stat().st_mtime_ns == trained
  assert result(tmp_path, 'random', 'seed0', 'knn')


def test_a_changed_evaluation_is_done_again_and_only_that(tmp_path):
  study.run(config(), tmp_path)
  changed = config()
  changed['evaluations']['knn']['protocol']['k'] = 3
  probe = tmp_path / 'simclr/seed0/probe/result.json'
  stamp = probe.stat().st_mtime_ns
  study.run(changed, tmp_path)
  assert result(tmp_path, 'simclr', 'seed0', 'knn')['chosen']['k'] == 3
  assert probe.stat().st_mtime_ns == stamp


def test_one_failure_does_not_take_the_others_along(tmp_path, monkeypatch):
  def diverges(fields, folder, label):
    if fields['train']['epochs'] == 0:
      raise errors.UserError('the loss is nan')
    return original(fields, folder, label)

  original = pretrain.run
  monkeypatch.setattr(pretrain, 'run', diverges)
  with pytest.raises(errors.UserError, match='1 of 2 runs failed: random seed 0'):
    study.run(config(), tmp_path)
  assert result(tmp_path, 'simclr', 'seed0', 'knn')
  assert (tmp_path / 'report' / 'index.html').exists()


@pytest.mark.parametrize('change, match', [
    (lambda c: c['methods']['simclr']['optim'].update(lr=1), r'methods.simclr: .*lr'),
    (lambda c: c['evaluations']['knn']['protocol'].update(kk=1), r'evaluations.knn: '),
    (lambda c: c.update(seeds=[]), 'config.seeds')])
def test_mistakes_are_found_before_anything_runs(tmp_path, change, match):
  fields = config()
  change(fields)
  with pytest.raises(errors.UserError, match=match):
    study.run(fields, tmp_path / 'w')
  assert not (tmp_path / 'w').exists()
