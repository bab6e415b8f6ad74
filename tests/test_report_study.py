"""Tests by hand what a study computes from its files."""

import json

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read
from ssl_jax.report.study import MethodRun


def test_missing_results_are_named(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  assert study.missing() == {'supervised, seed 0': ['kNN'],
                             'supervised, seed 1': ['Linear probe', 'kNN'],
                             'supervised, seed 2': ['Linear probe', 'kNN']}
  assert study.accuracy('supervised', 'knn').shape == (0,)


def test_a_method_is_not_displayed_as_the_evaluation_of_its_name(tmp_path):
  study = read.study(fake_study.write(tmp_path, {'nearest': {}}, published=[]))
  assert study.display_name('nearest') == 'nearest'
  assert study.display_name('knn') == 'kNN'


def test_cells_of_the_heat_map_are_not_listed(tmp_path):
  study = read.study(fake_study.heatmap(tmp_path))
  assert study.listed_methods == ('batch_8',)
  assert study.heatmap.cells['rotate_crop'] == (2, 0)


def test_curve_skips_a_truncated_line_and_prefers_the_last_of_a_step(tmp_path):
  fake_study.write(tmp_path)
  log = tmp_path / 'simclr/seed0/pretrain/metrics.jsonl'
  with log.open('a') as f:
    f.write('{"step": 4, "epoch": 2.0, "train/lo\n')  # killed here, then resumed
    f.write('{"step": 3, "epoch": 1.5, "train/loss": 0.25}\n')
    f.write('{"step": 4, "epoch": 2.0, "train/loss": NaN}\n')
    f.write('{"step": 5, "epoch": 2.5, "train/loss": 0.125}\n')
    f.write('{"step": 6, "epoch"')
  curve = read.study(tmp_path).runs_of('simclr')[0].curve('train/loss')
  np.testing.assert_array_equal(
      curve, [[0, 4], [0.5, 3], [1, 2], [1.5, 0.25], [2.5, 0.125]])


def test_a_study_s_own_names_come_first(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path, labels={
      'simclr': 'SimCLR', 'linear_1pct': 'A name'}))
  assert study.display_name('simclr') == 'SimCLR'
  assert study.display_name('linear_1pct') == 'A name'
  assert study.display_name('finetune_1pct') == 'Fine-tuning on 1 %'
  assert study.display_name('linear_2_percent') == 'linear 2 percent'


def test_the_mean_over_classes_counts_as_the_accuracy_of_its_data_set(tmp_path):
  study = read.study(fake_study.by_data_set(tmp_path))
  np.testing.assert_array_equal(study.accuracy('simclr', 'linear_pets'), [0.80, 0.82])
  pets = study.results('simclr', 'linear_pets')[0]
  # The variance of the mean of three class accuracies, as if of one sample.
  assert 1 / pets.effective_sample_size == pytest.approx(
      (1 / 10 + 1 / 100 + 1 / 40) / 3**2)
  assert study.results('simclr', 'linear_food')[0].effective_sample_size == 300


def test_evaluations_with_classes_are_in_the_order_of_their_use(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path / 'a'))
  # Rotations come first in the study; label subsets come after all labels.
  assert study.evaluations_with_classes() == (
      'linear', 'finetune_100pct', 'finetune_1pct', 'linear_1pct')
  study = read.study(fake_study.by_data_set(tmp_path / 'b'))
  assert study.evaluations_with_classes() == ()  # each data set has its own classes


def test_all_results_are_in_the_order_of_the_study(tmp_path):
  path = fake_study.write(tmp_path) / 'simclr/seed0/linear/result.json'
  top1 = json.loads(path.read_text())['result']['test']['top1']
  found = read.study(tmp_path).all_results()
  assert [(run.method, e, run.seed) for run, e, _ in found[:4]] == [
      ('simclr', 'linear', 0), ('simclr', 'linear', 1), ('simclr', 'linear', 2),
      ('simclr', 'knn', 0)]
  assert found[0][2].top1 == top1 and len(found) == 13


def test_links_are_relative_to_the_report_and_quoted():
  run = MethodRun('a b', 0, (), {}, {}, folder='a b/seed0')
  assert run.link() == '../a%20b/seed0/'
  assert run.link('x#/result.json') == '../a%20b/seed0/x%23/result.json'
