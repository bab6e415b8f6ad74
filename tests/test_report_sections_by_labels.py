"""Tests label subsets by hand: cells, sentences and points."""

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import by_labels


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.by_labels(tmp_path))


def drawn(study):
  """Returns the axes, label -> (points, colour), and the hollow (points, colour)."""
  (ax, *_) = by_labels.figures(study)[0].draw(theme.LIGHT).axes
  found = {}
  for container in ax.containers:
    line = container.lines[0]
    found[container.get_label()] = line.get_xydata().tolist(), line.get_color()
  hollow = [(line.get_xydata().tolist(), line.get_color()) for line in ax.lines
            if line.get_markerfacecolor() == 'none']
  return ax, found, [(points, colour) for points, colour in hollow if points]


def test_table_by_hand(study):
  table = by_labels.table(study)
  assert table.header == ('Method', '1 %', 'published', '100 %', 'published')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['SimCLR, Fine-tuning', '89.00 ± 1.41 (2)', '89.40', '94.00 ± 0.00 (2)', '94.10'],
      ['SimCLR, Linear', '81.00 ± 1.41 (2)', '–', '', ''],
      ['RotNet, unfrozen', '41.00 ± 1.41 (2)', '–', '–', '92.10']]
  assert 'by share of labels' in table.caption and '300 images' in table.caption


def test_results_of_a_column_compete_across_groups(tmp_path):
  top1 = {'a': {'x_1': [0.90, 0.90], 'y_1': [0.50, 0.50]}, 'b': {'x_1': [0.40, 0.40]}}
  study = read.study(fake_study.write(
      tmp_path, top1, evaluations=['x_1', 'y_1'], wanted={'y_1': ['a']}, published=[],
      subsets={'x_1': ['x', '1pct'], 'y_1': ['y', '1pct']}))
  rows = by_labels.table(study).rows
  assert [(str(row[0]), row[1].bold) for row in rows] == [
      ('a, x', True), ('a, y', False), ('b, x', False)]


def test_one_sentence_for_each_row_with_published_figures(study):
  assert by_labels.findings(study) == {'By number of labels': [
      'SimCLR, Fine-tuning minus the published figures, in points: −0.4 (1 %), '
      '−0.1 (100 %) (paper A; 2 seeds here).']}


def test_a_rehearsal_is_not_compared_with_published_figures(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path, rehearsal='Only a rehearsal.'))
  assert by_labels.findings(study) == {'By number of labels': []}
  assert '89.40' in [str(cell) for cell in by_labels.table(study).rows[0]]


def test_figure_shows_means_over_images_and_published_hollow(study):
  ax, ours, theirs = drawn(study)
  blue, orange = theme.LIGHT.color(0), theme.LIGHT.color(1)
  expected = {'SimCLR, Fine-tuning': ([[500, 89], [50000, 94]], blue),
              'SimCLR, Linear': ([[500, 81]], blue),
              'RotNet, unfrozen': ([[500, 41]], orange)}
  assert ours.keys() == expected.keys()
  for name, (points, colour) in expected.items():
    np.testing.assert_allclose(ours[name][0], points)
    assert ours[name][1] == colour
  assert theirs == [([[500, 89.4], [50000, 94.1]], blue), ([[50000, 92.1]], orange)]
  assert ax.get_xscale() == 'log'
  assert [tick.get_text() for tick in ax.get_xticklabels()] == ['1 %', '100 %']


def test_bars_are_one_sample_standard_deviation(study):
  ax = by_labels.figures(study)[0].draw(theme.LIGHT).axes[0]
  bars = ax.containers[0].lines[2][0].get_segments()
  sd = 100 * np.std([0.88, 0.90], ddof=1)
  np.testing.assert_allclose(bars[0], [[500, 89 - sd], [500, 89 + sd]])


def test_positions_replace_unknown_numbers_of_images(tmp_path):
  folder = fake_study.by_labels(tmp_path)
  for seed in (0, 1):
    fake_study.write_json(folder / f'simclr/seed{seed}/finetune_100pct/result.json',
                   fake_study.evaluation_result(0.94))
  ax, ours, _ = drawn(read.study(folder))
  assert [x for x, _ in ours['SimCLR, Fine-tuning'][0]] == [0, 1]
  assert ax.get_xscale() == 'linear'


def test_many_lines_get_a_panel_for_each_group(tmp_path):
  values = {'x_1': [0.5], 'y_1': [0.6]}
  study = read.study(fake_study.write(
      tmp_path, {f'm{i}': values for i in range(5)}, evaluations=['x_1', 'y_1'],
      subsets={'x_1': ['x', '1pct'], 'y_1': ['y', '1pct']}, published=[]))
  axes = by_labels.figures(study)[0].draw(theme.LIGHT).axes
  assert [ax.get_title(loc='left') for ax in axes] == ['x', 'y']
  assert [[c.get_label() for c in ax.containers] for ax in axes] == [
      [f'm{i}' for i in range(5)]] * 2


def test_many_groups_of_few_methods_get_a_panel_for_each_method(tmp_path):
  groups = [f'prune_{i}' for i in range(8)]
  study = read.study(fake_study.write(
      tmp_path, {'a': {f'{g}_1': [0.5] for g in groups}, 'b': {'prune_8_1': [0.6]}},
      evaluations=[f'{g}_1' for g in (*groups, 'prune_8')], published=[],
      wanted={f'{g}_1': ['a'] for g in groups} | {'prune_8_1': ['b']},
      subsets={f'{g}_1': [g, '1pct'] for g in (*groups, 'prune_8')},
      labels={'b/prune_8': 'B pruned'}))
  axes = by_labels.figures(study)[0].draw(theme.LIGHT).axes
  assert [ax.get_title(loc='left') for ax in axes] == ['a', 'B pruned']
  assert [len(ax.containers) for ax in axes] == [8, 1]
  styles = {(line.get_color(), line.get_marker(), line.get_linestyle())
            for ax in axes for line in ax.lines if len(line.get_xdata())}
  assert len(styles) == 9


def test_nothing_without_subsets(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  assert not by_labels.table(study).rows
  assert by_labels.figures(study) == []
