"""Tests what a pre-training measures with labels, with those of other data, without."""

import logging

import pytest
import stub_encoder
import tiny

from ssl_jax import jsonl
from ssl_jax.jobs import monitor, pretrain

UNLABELLED = {**tiny.DATA, 'labelled': False}
KNN = {'knn/top1'}
FEATURES = {'validation/effective_rank', 'validation/rank_fraction',
            'validation/feature_deviation', 'validation/uniformity'}
VIEWS = {'validation/loss', 'validation/alignment'}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def measured(workdir, data, **fields):
  """Trains for two epochs and returns the names of the two measurements."""
  config = {**tiny.config(knn_every_epochs=1), 'model': {'name': 'stub'}, 'data': data,
            **fields}
  pretrain.run(config, workdir)
  rows = [{name for name in row if name.startswith(('knn/', 'validation/'))}
          for row in jsonl.read(workdir / 'metrics.jsonl')]
  first, second = (row for row in rows if row)
  assert first == second
  return first


@pytest.mark.parametrize('data, fields, names', [
    # The eight validation images are fewer than a batch of 16.
    (tiny.DATA, {}, KNN | FEATURES),
    ({**tiny.DATA, 'validation_fraction': 0.3}, {}, KNN | FEATURES | VIEWS),
    (UNLABELLED, {}, FEATURES),
    (UNLABELLED, {'monitor': {'data': tiny.DATA}}, KNN | FEATURES)])
def test_names_of_the_metrics(tmp_path, data, fields, names):
  assert measured(tmp_path, data, **fields) == names


def test_collapse_is_said_while_it_happens(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(monitor.validation_lib, 'warning', lambda metrics: 'collapsed!')
  with caplog.at_level(logging.WARNING):
    measured(tmp_path, tiny.DATA)
  assert caplog.text.count('collapsed!') == 2
