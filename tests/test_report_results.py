"""The headline table, by hand."""

import fake_study
import pytest

from ssl_jax.report import read, results


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def test_headline_by_hand(study):
  table = results.headline(study)
  assert table.header == ('Method', 'Linear probe', 'theirs', 'kNN')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['SimCLR', '92.00 ± 2.65 (3)', '54.16', '87.00 ± 1.00 (3)'],
      ['random', '71.00 ± 1.00 (3)', '–', '87.00 ± 1.73 (3)'],
      ['supervised', '93.00 (1)', '–', '–']]
  assert 'three shapes' in table.caption and '300 images' in table.caption
  assert any('report D' in note for note in table.notes)


def test_without_published_figures_there_is_no_column_for_them(tmp_path):
  study = read.study(fake_study.write(tmp_path, published=[]))
  assert 'theirs' not in results.headline(study).header


def test_bold_where_separated_and_the_rule_is_stated(tmp_path):
  top1 = {'a': {'linear': [0.90, 0.91]}, 'b': {'linear': [0.20, 0.21]}}
  table = results.headline(read.study(fake_study.write(tmp_path, top1, published=[])))
  assert [row[1].bold for row in table.rows] == [True, False]
  assert table.notes[0].startswith('Bold:')


def test_what_is_not_asked_for_is_blank_and_what_is_lacking_a_dash(tmp_path):
  top1 = {'simclr': {'linear': [0.9, 0.9]}, 'rotnet': {'rotation': [0.81, 0.83]}}
  study = read.study(fake_study.write(
      tmp_path, top1, seeds=[0, 1], evaluations=['rotation', 'linear'],
      wanted={'rotation': ['rotnet']},
      published=[fake_study.published('rotnet', 'rotation', 81.13)]))
  table = results.headline(study)
  assert table.header == ('Method', 'Rotations told apart', 'theirs', 'Linear probe')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['SimCLR', '', '', '90.00 ± 0.00 (2)'],
      ['rotnet', '82.00 ± 1.41 (2)', '81.13', '–']]


def test_subsets_of_the_labels_and_cells_of_a_heat_map_stand_elsewhere(tmp_path):
  table = results.headline(read.study(fake_study.by_labels(tmp_path / 'a')))
  assert table.header == ('Method', 'Rotations told apart', 'Linear probe')
  assert 'theirs' not in ' '.join(table.notes).lower()
  table = results.headline(read.study(fake_study.grid(tmp_path / 'b')))
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['batch 8', '70.00 ± 0.00 (2)']]


def test_a_method_of_which_no_column_is_asked_has_no_row(tmp_path):
  study = read.study(fake_study.by_labels(
      tmp_path, evaluations=['rotation', 'finetune_1pct'], published=[]))
  assert [str(row[0]) for row in results.headline(study).rows] == ['RotNet']


def test_no_rows_where_all_evaluations_are_subsets(tmp_path):
  study = read.study(fake_study.by_labels(
      tmp_path, evaluations=['finetune_1pct'], published=[]))
  assert not results.headline(study).rows
