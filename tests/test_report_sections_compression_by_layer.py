"""Tests the weights left by layer against numbers by hand."""

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import compression, compression_by_layer


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.compressed(tmp_path))


def test_shares_are_means_over_seeds_from_the_image_to_the_classifier(study):
  """Seed 1 has 10 of 300 weights fewer than seed 0."""
  line, = (line for line in compression.lines(study)
           if line.name(study) == 'Small, pruned while fine-tuning')
  half, tenth = compression_by_layer.pruned(line)
  assert list(compression_by_layer.shares(study, half)) == [
      'stem', 'stage1', 'head/dense']
  for point, kept in ((half, 50), (tenth, 10)):
    shares = compression_by_layer.shares(study, point)
    np.testing.assert_allclose(list(shares.values()), [100, kept - 5 / 3, 100])


def test_table_has_a_row_for_each_layer_and_a_column_for_each_network(study):
  table = compression_by_layer.table(study)
  assert table.header[:3] == ('Layer', 'Small, pruned while fine-tuning, 50 %',
                              'Small, pruned while fine-tuning, 90 %')
  assert [str(cell) for cell in table.rows[1][:3]] == ['stage1', '48.33', '8.33']
  assert len(table.header) == 8 and len(table.rows) == 3


def test_figure_draws_a_line_for_each_sparsity(study):
  figure, = compression_by_layer.content(study).figures
  axes = [ax for ax in figure.draw(theme.LIGHT).axes if ax.get_visible()]
  assert [ax.get_title(loc='left') for ax in axes] == [
      line.name(study) for line in compression.lines(study)]
  first = {line.get_label(): line for line in axes[0].lines}
  np.testing.assert_allclose(first['90 % pruned'].get_xydata(),
                             [[1, 100], [2, 10 - 5 / 3], [3, 100]])
  assert axes[0].get_yscale() == 'log'


def test_networks_that_are_not_pruned_have_no_figure(tmp_path):
  study = read.study(fake_study.compressed(tmp_path, methods=['small'],
                                           evaluations=['bits_all']))
  assert not compression_by_layer.content(study).figures
