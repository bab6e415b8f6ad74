"""Tests several data sets by hand: cells, sentences and points."""

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import by_data_set


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.by_data_set(tmp_path))


def test_table_by_hand(study):
  table = by_data_set.table(study)
  assert table.header == ('Data set', 'SimCLR, Linear', 'published',
                          'SimCLR, Fine-tuned', 'published')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['Pets', '81.00 ± 1.41 (2)', '–', '90.00 ± 0.00 (2)', '89.20'],
      ['Food-101', '60.00 ± 0.00 (2)', '68.40', '–', '–']]
  assert '(top-1; for Pets the mean over classes)' in table.caption
  assert [note.split(';')[0] for note in table.notes] == [
      'Published figures are from paper A']  # one method: no competition, no bold rule


def test_one_sentence_for_each_row_with_published_figures(study):
  assert by_data_set.findings(study) == {'By data set': [
      'SimCLR, Linear minus the published figures, in points: −8.4 (Food-101) '
      '(paper A; 2 seeds here).',
      'SimCLR, Fine-tuned minus the published figures, in points: +0.8 (Pets) '
      '(paper A; 2 seeds here).']}


def test_methods_compete_by_protocol_and_data_set(tmp_path):
  top1 = {'a': {'x_one': [0.9, 0.9], 'y_one': [0.5, 0.5], 'x_two': [0.3, 0.3]},
          'b': {'x_one': [0.4, 0.4], 'y_one': [0.8, 0.8], 'x_two': [0.3, 0.3]}}
  study = read.study(fake_study.write(
      tmp_path, top1, evaluations=list(top1['a']), published=[],
      data_sets={'x_one': ['x', 'one'], 'y_one': ['y', 'one'], 'x_two': ['x', 'two']}))
  table = by_data_set.table(study)
  assert table.header == ('Data set', 'a, x', 'a, y', 'b, x', 'b, y')
  assert [[cell.bold for cell in row[1:]] for row in table.rows] == [
      [True, False, False, True], [False] * 4]
  assert 'every other mean of its data set and protocol' in table.notes[0]


def test_figure_shows_means_and_published_hollow(study):
  ax, = by_data_set.figures(study)[0].draw(theme.LIGHT).axes
  assert [tick.get_text() for tick in ax.get_yticklabels()] == ['Pets', 'Food-101']
  assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top
  drawn = {c.get_label(): c.lines[0].get_xydata() for c in ax.containers}
  np.testing.assert_allclose(drawn['SimCLR, Linear'][:, 0], [81, 60])
  np.testing.assert_allclose(np.round(drawn['SimCLR, Linear'][:, 1]), [0, 1])
  np.testing.assert_allclose(drawn['SimCLR, Fine-tuned'][:, 0], [90])
  hollow = [line for line in ax.lines if line.get_markerfacecolor() == 'none']
  assert [line.get_xdata().tolist() for line in hollow] == [[68.4], [89.2]]
  assert hollow[0].get_ydata()[0] == drawn['SimCLR, Linear'][1, 1]


def test_nothing_without_data_sets(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  assert not by_data_set.table(study).rows
  assert by_data_set.figures(study) == []
