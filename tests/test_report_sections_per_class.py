"""Tests accuracies by class by hand: the table, the figure, the order of classes."""

import json

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, theme
from ssl_jax.report.sections import per_class


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def write_classes(folder, names, per_class):
  """Writes and reads a study with one result that has these classes."""
  fake_study.write(folder, {'simclr': {'linear': [0.9]}})
  path = folder / 'simclr/seed0/linear/result.json'
  record = json.loads(path.read_text())
  record['result']['class_names'] = names
  record['result']['test']['per_class'] = per_class
  fake_study.write_json(path, record)
  return read.study(folder)


def classes_from_top_to_bottom(figure):
  (ax,) = figure.draw(theme.LIGHT).axes
  names = [tick.get_text() for tick in ax.get_yticklabels()]
  bottom, top = ax.get_ylim()
  return names if top < bottom else names[::-1]


def test_table_by_hand(study):
  table = per_class.table(study, 'linear')
  assert table.header == ('Class', 'SimCLR', 'random', 'supervised')
  # SimCLR's third class: 30, 27 and 15 of 100 are wrong; mean 76, variance 63.
  assert [str(c) for c in table.rows[2]] == [
      '<i>', '76.0 ± 7.9 (3)', '13.0 ± 3.0 (3)', '79.0 (1)']


def test_a_class_without_test_images_is_a_dash_and_not_in_the_figure(tmp_path):
  study = write_classes(tmp_path, ['a', 'b', 'c'], [None, 0.5, 1.0])
  assert str(per_class.table(study, 'linear').rows[0][1]) == '–'
  (figure,) = per_class.figures(study, 'linear')
  assert classes_from_top_to_bottom(figure) == ['c', 'b']


def test_the_hardest_class_is_at_the_bottom(tmp_path):
  study = write_classes(tmp_path, ['a', 'b', 'c'], [0.7, 0.5, 0.9])
  (figure,) = per_class.figures(study, 'linear')
  assert classes_from_top_to_bottom(figure) == ['c', 'a', 'b']
  assert 'hardest class is at the bottom' in figure.caption


def test_classes_that_are_numbers_keep_their_order(tmp_path):
  study = write_classes(tmp_path, ['0', '1', '2'], [0.7, 0.5, 0.9])
  (figure,) = per_class.figures(study, 'linear')
  assert classes_from_top_to_bottom(figure) == ['0', '1', '2']
  assert 'hardest' not in figure.caption


def test_bars_end_at_100_percent(tmp_path):
  fake_study.write(tmp_path, {'simclr': {'linear': [0.9, 0.9, 0.9]}})
  for seed, accuracy in enumerate((0.94, 1.0, 1.0)):
    path = tmp_path / f'simclr/seed{seed}/linear/result.json'
    record = json.loads(path.read_text())
    record['result']['test']['per_class'] = [accuracy, 0.5, 0.6]
    fake_study.write_json(path, record)
  (figure,) = per_class.figures(read.study(tmp_path), 'linear')
  (bars,) = figure.draw(theme.LIGHT).axes[0].containers[0].lines[2]
  ends = np.array(bars.get_segments())[:, :, 0]
  assert ends.max() == 100
  np.testing.assert_allclose(ends.min(axis=1).max(), 98 - np.sqrt(12))
  assert 'cut off' in figure.caption


def test_the_alternative_text_has_the_extremes(study):
  (figure,) = per_class.figures(study, 'linear')
  assert 'worst on <i> (76.0 %)' in figure.alt


def test_the_evaluation_of_most_methods_is_shown(tmp_path):
  study = read.study(fake_study.by_labels(tmp_path))
  content = per_class.content(study)
  assert 'Linear probe' in content.figures[0].caption
  assert content.details[0].header == ('Class', 'SimCLR', 'RotNet')


def test_a_hundred_classes_have_a_table_only(tmp_path):
  study = write_classes(tmp_path, [f'c{i}' for i in range(100)], [0.5] * 100)
  assert per_class.figures(study, 'linear') == []
  assert len(per_class.table(study, 'linear').rows) == 100


def test_nothing_without_results(tmp_path):
  fake_study.write(tmp_path, {'simclr': {}})
  content = per_class.content(read.study(tmp_path))
  assert not content.details and not content.figures
