"""Tests the metrics that a run reports, and losses that are not finite."""

import logging
import math
import re
import types

import jax.numpy as jnp
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, jsonl
from ssl_jax.jobs import pretrain
from ssl_jax.train import reporter, training


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config(**train):
  return {**tiny.config(**train), 'model': {'name': 'stub'}}


def test_metrics_file_has_one_row_per_logged_step(tmp_path, caplog):
  with caplog.at_level(logging.INFO):
    pretrain.run(config(epochs=1), tmp_path / 'run')
  found = re.findall(r'pretrain: step (\d+) after [\d.]+ s, compilation included',
                    caplog.text)
  assert found == ['1']
  rows = jsonl.read(tmp_path / 'run' / 'metrics.jsonl')
  assert [row['step'] for row in rows] == [1, 2, 3, 4, 5]
  assert [row['epoch'] for row in rows] == pytest.approx([.2, .4, .6, .8, 1.])
  first = rows[0]
  assert first['train/learning_rate'] == pytest.approx(0.05)
  assert {'train/loss', 'train/contrastive_accuracy', 'probe/top1'} <= set(first)


@pytest.fixture
def made(tmp_path):
  """Makes a reporter of 20 steps, 5 per epoch, with its claims and checkpoints."""
  claims, kept = [], []
  run = types.SimpleNamespace(
      workdir=tmp_path, label='train', total_steps=20, claim=lambda: claims.append(1),
      schedule=lambda step: 0.1 * (step + 1),
      log=training.LogConfig(every_steps=4, tensorboard=False),
      feed=types.SimpleNamespace(steps_per_epoch=5, batch_size=8))
  state = types.SimpleNamespace(step=0, variables=types.SimpleNamespace(
      params={'w': jnp.zeros((3, 2))}))
  checkpoints = types.SimpleNamespace(steps=lambda: kept)
  with reporter.Reporter(run, state, checkpoints, start=0.) as subject:
    yield subject, claims, kept


def row(**values):
  return {'loss': 1., 'grad_norm': 2., **values}


def written(folder):
  return jsonl.read(folder / 'metrics.jsonl')


def test_rows_come_where_a_multiple_was_passed_and_at_the_end(made, tmp_path):
  subject, _, _ = made
  for step in (3, 6, 7, 9, 20):
    subject.report(step, row())
  assert [r['step'] for r in written(tmp_path)] == [6, 9, 20]
  assert [r['epoch'] for r in written(tmp_path)] == [1.2, 1.8, 4.0]
  assert [r['train/learning_rate'] for r in written(tmp_path)] == pytest.approx(
      [0.6, 0.9, 2.0])


def test_metrics_of_the_step_are_those_of_training_unless_they_have_a_prefix(
    made, tmp_path):
  made[0].report(4, row(**{'probe/top1': 0.5}))
  made[0].write_evaluation(4, {'knn/top1': 0.25})
  first, second = written(tmp_path)
  assert (first['train/loss'], first['probe/top1']) == (1., 0.5)
  assert second['knn/top1'] == 0.25 and second['epoch'] == 0.8


def test_the_workdir_is_taken_with_the_first_finite_loss_and_once(made, tmp_path):
  subject, claims, _ = made
  assert not claims and not subject.begun
  subject.report(1, row()), subject.report(2, row())
  assert claims == [1] and subject.begun and subject.last == 2
  assert '(3, 2)' in (tmp_path / 'parameters.txt').read_text()


@pytest.mark.parametrize('name', ['loss', 'grad_norm'])
@pytest.mark.parametrize('kept, words', [
    ([], 'no checkpoint has been saved yet'),
    ([5, 10], 'last good checkpoint is step 10')])
def test_what_is_not_finite_ends_the_run(made, tmp_path, name, kept, words):
  subject, claims, steps = made
  steps += kept
  with pytest.raises(errors.Diverged, match=f'at step 12; .*{words}; lower config.opt'):
    subject.report(12, row(**{name: math.nan}))
  assert not claims and not list(tmp_path.iterdir())
