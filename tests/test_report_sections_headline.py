"""Tests the headline table and its sentences by hand."""

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read
from ssl_jax.report.sections import headline


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def test_headline_by_hand(study):
  table = headline.table(study)
  assert table.header == ('Method', 'Linear probe', 'published', 'kNN')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['SimCLR', '92.00 ± 2.65 (3)', '54.16', '87.00 ± 1.00 (3)'],
      ['random', '71.00 ± 1.00 (3)', '–', '87.00 ± 1.73 (3)'],
      ['supervised', '93.00 (1)', '–', '–']]
  assert 'three shapes' in table.caption and '300 images' in table.caption
  assert any('paper D' in note for note in table.notes)


def test_without_published_figures_there_is_no_column_for_them(tmp_path):
  study = read.study(fake_study.write(tmp_path, published=[]))
  assert 'published' not in headline.table(study).header


def test_a_separated_mean_is_bold_and_the_rule_is_stated(tmp_path):
  top1 = {'a': {'linear': [0.90, 0.91]}, 'b': {'linear': [0.20, 0.21]}}
  table = headline.table(read.study(fake_study.write(tmp_path, top1, published=[])))
  assert [row[1].bold for row in table.rows] == [True, False]
  assert table.notes[0].startswith('Bold:')


def test_not_requested_is_blank_and_missing_is_a_dash(tmp_path):
  top1 = {'simclr': {'linear': [0.9, 0.9]}, 'rotnet': {'rotation': [0.81, 0.83]}}
  study = read.study(fake_study.write(
      tmp_path, top1, seeds=[0, 1], evaluations=['rotation', 'linear'],
      wanted={'rotation': ['rotnet']},
      published=[fake_study.published('rotnet', 'rotation', 81.13)]))
  table = headline.table(study)
  assert table.header == ('Method', 'Rotation accuracy', 'published', 'Linear probe')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['SimCLR', '', '', '90.00 ± 0.00 (2)'],
      ['rotnet', '82.00 ± 1.41 (2)', '81.13', '–']]


def test_label_subsets_and_cells_of_a_heat_map_are_left_out(tmp_path):
  table = headline.table(read.study(fake_study.by_labels(tmp_path / 'a')))
  assert table.header == ('Method', 'Rotation accuracy', 'Linear probe')
  assert 'ublished' not in ' '.join(table.notes)
  table = headline.table(read.study(fake_study.heatmap(tmp_path / 'b')))
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['batch 8', '70.00 ± 0.00 (2)']]


def test_a_method_without_requested_columns_has_no_row(tmp_path):
  study = read.study(fake_study.by_labels(
      tmp_path, evaluations=['rotation', 'finetune_1pct'], published=[]))
  assert [str(row[0]) for row in headline.table(study).rows] == ['RotNet']


def test_no_rows_if_all_evaluations_are_subsets(tmp_path):
  study = read.study(fake_study.by_labels(
      tmp_path, evaluations=['finetune_1pct'], published=[]))
  assert not headline.table(study).rows


def test_findings(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  found = headline.findings(study)
  above, below, published = found['Linear probe']
  assert above.startswith('SimCLR is 21.0 points above random (95 % margin ')
  assert above.endswith('; 3 seeds each).')
  assert below == ('SimCLR is 1.0 points below supervised; with a single seed on '
                   'one side, this may be noise.')
  assert published == ('SimCLR is 37.8 points above the published 54.16 % (paper D; '
                       '3 seeds here).')
  assert found['kNN'] == [
      'SimCLR and random are not separated: 0.0 points apart, within the 95 % margin '
      f'of {100 * _by_hand_knn():.1f} (3 seeds each).']


def _by_hand_knn() -> float:
  """Returns the margin for variances 1e-4 and 3e-4 over 3 seeds: t at 3.2 degrees."""
  seeds = 3.18**2 * (1e-4 / 3 + 3e-4 / 3)
  return np.sqrt(seeds + 1.96**2 * 2 * 0.87 * 0.13 / 300)


def test_the_evaluation_of_most_methods_compares_all_with_baselines(tmp_path):
  """Rotations come first but are requested for two; only kNN is requested for all."""
  both = {'rotation': [0.8, 0.8], 'knn': [0.5, 0.5]}
  study = read.study(fake_study.write(
      tmp_path, {'a': both, 'b': {'rotation': [0.6, 0.6], 'knn': [0.4, 0.4]},
                 'supervised_small': {'knn': [0.9, 0.9]}},
      evaluations=['rotation', 'knn'], wanted={'rotation': ['a', 'b']}, published=[]))
  found = headline.findings(study)
  assert [s.split(' (')[0] for s in found['Rotation accuracy']] == [
      'a is 20.0 points above b']
  assert [s.split(' (')[0] for s in found['kNN']] == [
      'a is 10.0 points above b', 'a is 40.0 points below supervised small',
      'b is 50.0 points below supervised small']


def test_with_many_methods_only_the_best_is_compared_with_baselines(tmp_path):
  top1 = {f'm{i}': {'knn': [i / 10, i / 10]} for i in range(8)}
  study = read.study(fake_study.write(
      tmp_path, top1 | {'random': {'knn': [0.0, 0.0]}}, published=[]))
  assert [s.split(' (')[0] for s in headline.findings(study)['kNN']] == [
      'm7 is 10.0 points above m6', 'm7 is 70.0 points above random']


def test_a_rehearsal_is_not_compared_with_published_figures(tmp_path):
  study = read.study(fake_study.write(tmp_path, rehearsal='Only a try.'))
  assert 'published' not in str(headline.findings(study))
