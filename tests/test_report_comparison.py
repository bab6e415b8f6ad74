"""Tests tables of accuracies by hand: captions, bold print, published figures."""

import fake_study
import pytest

from ssl_jax.report import comparison, read


@pytest.fixture
def study(tmp_path):
  top1 = {'a': {'x': [0.9, 0.9], 'y': [0.3, 0.3]}, 'b': {'x': [0.5, 0.5]}}
  return read.study(fake_study.write(
      tmp_path, top1, evaluations=['x', 'y'], wanted={'y': ['a']},
      published=[fake_study.published('b', 'x', value) for value in (54, 55)]))


def test_cells_headers_and_notes(study):
  table = comparison.table(
      study, 'Title', ['X', 'Y'],
      [('A', [('a', 'x'), ('a', 'y')]), ('B', [('b', 'x'), ('b', 'y')]),
       ('C', [None, None])])
  assert table.caption == ('Title: top-1 test accuracy on 300 images, in %, mean ± '
                           'sample standard deviation (number of seeds).')
  assert table.header == ('Method', 'X', 'published', 'Y')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['A', '90.00 ± 0.00 (2)', '–', '30.00 ± 0.00 (2)'],
      ['B', '50.00 ± 0.00 (2)', '54.00, 55.00', ''], ['C', '', '', '']]
  assert [[cell.bold for cell in row] for row in table.rows] == [
      [False, True, False, False], [False] * 4, [False] * 4]
  assert table.notes[0].startswith('Bold:') and 'of its column' in table.notes[0]
  assert table.notes[1].startswith('Published figures are from paper A;')


def test_competitors_need_not_share_a_column(study):
  table = comparison.table(
      study, 'Title', ['A', 'B'], [('X', [('a', 'x'), ('b', 'x')])],
      row_header='Evaluation', competition=comparison.Competition(
          'row', [[('a', 'x'), ('b', 'x')]]))
  assert table.header == ('Evaluation', 'A', 'B', 'published')
  assert [cell.bold for cell in table.rows[0]] == [False, True, False, False]
  assert 'of its row' in table.notes[0]


def test_captions_name_the_mean_over_classes(tmp_path):
  study = read.study(fake_study.by_data_set(tmp_path))
  pets, food = ('simclr', 'linear_pets'), ('simclr', 'linear_food')
  both = comparison.table(study, 'T', ['1', '2'], [('', [pets, food])])
  assert '(top-1; for Pets the mean over classes)' in both.caption
  only = comparison.table(study, 'T', ['1'], [('', [pets])])
  assert 'test accuracy, the mean over classes' in only.caption
