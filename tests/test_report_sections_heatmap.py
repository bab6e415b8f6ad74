"""Tests the numbers of the heat map by hand, in the table and in the figure."""

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import heatmap


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.heatmap(tmp_path))


def test_a_pair_appears_twice_and_complete_rows_are_averaged(study):
  data = heatmap.data(study, 'nearest')
  nan = np.nan
  np.testing.assert_allclose(
      data.means, [[51, 62, nan], [62, 20, nan], [nan, nan, nan]])
  # The first row lacks a requested result; the third has none.
  np.testing.assert_allclose(data.averages, [nan, 41, nan])


def test_table_by_hand(study):
  table = heatmap.table(study, 'nearest')
  assert table.header == ('', 'crop', 'gaussian blur', 'rotate', 'Average')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['crop', '51.0 ± 1.4 (2)', '62.0 ± 2.8 (2)', '–', '–'],
      ['gaussian blur', '62.0 ± 2.8 (2)', '20.0 ± 0.0 (2)', '', '41.0'],
      ['rotate', '–', '', '', '–']]


def test_published_figures_of_cells_are_notes(tmp_path):
  study = read.study(fake_study.heatmap(
      tmp_path, published=[fake_study.published('crop_blur', 'nearest', 74)]))
  assert heatmap.table(study, 'nearest').notes == (
      'Published: crop blur 74.00 % (paper A).',)


def test_figure_writes_the_numbers_into_their_cells(study):
  (figure,) = heatmap.figures(study)
  assert figure.name == 'heatmap_nearest'
  assert figure.alt.endswith('Best: crop with gaussian blur (62.0 %); '
                           'worst: gaussian blur (20.0 %).')
  (ax,) = figure.draw(theme.LIGHT).axes
  assert {(int(t.get_position()[0]), int(t.get_position()[1])): t.get_text()
          for t in ax.texts} == {
      (0, 0): '51.0', (1, 0): '62.0', (0, 1): '62.0', (1, 1): '20.0', (3, 1): '41.0'}
  cells, averages = ax.collections
  np.testing.assert_allclose(np.ma.filled(cells.get_array(), -1),
                             [[51, 62, -1], [62, 20, -1], [-1, -1, -1]])
  np.testing.assert_allclose(np.ma.filled(averages.get_array(), -1).ravel(),
                             [-1, 41, -1])


def test_a_grid_of_two_quantities_has_no_pairs_and_no_averages(tmp_path):
  study = read.study(fake_study.heatmap(tmp_path, heatmap={
      'axes': ['batch_8', 'batch_16'],
      'columns': ['10 epochs', '20 epochs', '30 epochs'],
      'cells': {'crop': [0, 0], 'crop_blur': [0, 2], 'blur': [1, 1]}}))
  nan = np.nan
  np.testing.assert_allclose(heatmap.data(study, 'nearest').means,
                             [[51, nan, 62], [nan, 20, nan]])
  table = heatmap.table(study, 'nearest')
  assert table.header == ('', '10 epochs', '20 epochs', '30 epochs')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['batch 8', '51.0 ± 1.4 (2)', '', '62.0 ± 2.8 (2)'],
      ['batch 16', '', '20.0 ± 0.0 (2)', '']]
  (figure,) = heatmap.figures(study)
  assert figure.alt.endswith('Best: batch 8 with 30 epochs (62.0 %); '
                           'worst: batch 16 with 20 epochs (20.0 %).')
  (ax,) = figure.draw(theme.LIGHT).axes
  assert {(int(t.get_position()[0]), int(t.get_position()[1])): t.get_text()
          for t in ax.texts} == {(0, 0): '51.0', (2, 0): '62.0', (1, 1): '20.0'}
  assert [t.get_text() for t in ax.get_yticklabels()] == ['batch 8', 'batch 16']


def test_nothing_without_a_grid(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  assert heatmap.figures(study) == []
