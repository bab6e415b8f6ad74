"""Numbers by hand, and one table in three renderings."""

import csv
import io
import json

import fake_study
import numpy as np
import pytest

from ssl_jax.report import read, tables

Cell = tables.Cell


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


def test_spread_by_hand():
  # mean 92; deviations -2, -1, 3; sum of squares 14; sample variance 7.
  assert str(tables.spread([90, 91, 95])) == '92.00 ± 2.65 (3)'
  assert str(tables.spread([93.0])) == '93.00 (1)'
  assert str(tables.spread([])) == '–'
  assert str(tables.spread([1, 2], decimals=1)) == '1.5 ± 0.7 (2)'


def test_headline_by_hand(study):
  table = tables.headline(study)
  assert table.header == ('Method', 'Linear probe', 'theirs', 'kNN')
  assert [[str(cell) for cell in row] for row in table.rows] == [
      ['SimCLR', '92.00 ± 2.65 (3)', '54.16', '87.00 ± 1.00 (3)'],
      ['random', '71.00 ± 1.00 (3)', '–', '87.00 ± 1.73 (3)'],
      ['supervised', '93.00 (1)', '–', '–']]
  assert 'three shapes' in table.caption and '300 images' in table.caption
  assert any('report D' in note for note in table.notes)


def test_without_published_figures_there_is_no_column_for_them(tmp_path):
  study = read.study(fake_study.write(tmp_path, published=[]))
  assert 'theirs' not in tables.headline(study).header


def test_bold_where_separated_and_the_rule_is_stated(tmp_path):
  top1 = {'a': {'linear': [0.90, 0.91]}, 'b': {'linear': [0.20, 0.21]}}
  table = tables.headline(read.study(fake_study.write(tmp_path, top1, published=[])))
  assert [row[1].bold for row in table.rows] == [True, False]
  assert table.notes[0].startswith('Bold:')


def test_csv_has_every_seed_as_it_was_measured(study):
  rows = list(csv.DictReader(io.StringIO(tables.to_csv(study))))
  assert len(rows) == 3 + 3 + 3 + 3 + 1
  simclr = [float(r['top1']) for r in rows
            if r['method'] == 'simclr' and r['evaluation'] == 'linear']
  assert simclr == [0.90, 0.91, 0.95]
  assert [r['seed'] for r in rows[:3]] == ['0', '1', '2']
  assert rows[0]['test_images'] == '300'
  assert json.loads(rows[0]['chosen']) == {'l2': 0.001}
  assert float(rows[0]['seconds']) == 2.0


def test_per_class_by_hand(study):
  table = tables.per_class(study, 'linear')
  assert table.header == ('Class', 'SimCLR', 'random', 'supervised')
  # SimCLR's third class: 30, 27 and 15 of 100 wrong; mean 76, variance 63.
  assert [str(c) for c in table.rows[2]] == [
      '<i>', '76.0 ± 7.9 (3)', '13.0 ± 3.0 (3)', '79.0 (1)']


def test_a_class_without_test_images_is_a_dash(tmp_path):
  fake_study.write(tmp_path)
  path = tmp_path / 'supervised/seed0/linear/result.json'
  record = json.loads(path.read_text())
  record['result']['test']['per_class'][0] = None
  fake_study.put(path, record)
  table = tables.per_class(read.study(tmp_path), 'linear')
  assert str(table.rows[0][3]) == '–'


def test_times_by_hand(study):
  simclr, _, supervised = tables.times(study).rows
  # 100, 120 and 140 s of pre-training.
  assert [str(c) for c in simclr] == ['SimCLR', '4', '2 min 00 s', '1,500', '2.0 s',
                                      '2.0 s']
  assert str(supervised[-1]) == '–'


@pytest.mark.parametrize('seconds, text', [
    (0, '0.0 s'), (9.94, '9.9 s'), (9.97, '10 s'), (59.6, '1 min 00 s'),
    (200, '3 min 20 s'), (3599.7, '1 h 00 min'), (7500, '2 h 05 min')])
def test_duration(seconds, text):
  assert tables.duration(seconds) == text


def test_differences_names_fields_and_leaves_out_seeds(study):
  table = tables.differences(study)
  assert [[str(c) for c in row] for row in table.rows] == [
      ['method.name', 'simclr', 'random', 'supervised']]


def test_renderings_agree():
  table = tables.Table(
      'Caption.', ('Method', 'top-1'),
      ((Cell('a|b'), Cell('91.00', '± 1.00 (3)', bold=True)),
       (Cell('c'), Cell('8.00', '(1)'))), notes=('Bold: by a rule.',))
  assert tables.terminal(table) == (
      'Caption.\n\n'
      'Method             top-1\n'
      '──────  ─────────────────\n'
      'a|b     91.00 ± 1.00 (3)*\n'
      'c               8.00 (1)\n\n'
      '* by a rule.\n')
  assert tables.markdown(table) == (
      'Caption.\n\n'
      '| Method | top-1 |\n'
      '| --- | ---: |\n'
      '| a\\|b | **91.00** ± 1.00 (3) |\n'
      '| c | 8.00 (1) |\n\n'
      'Bold: by a rule.\n')


def test_terminal_folds_long_notes():
  table = tables.Table('word ' * 40, ('n',), (), notes=('note ' * 40,))
  lines = tables.terminal(table).splitlines()
  assert max(map(len, lines)) <= 80
  assert sum(line.count('note') for line in lines) == 40


def test_terminal_lines_up_with_wide_characters():
  table = tables.Table('', ('名', 'n'), ((Cell('x'), Cell('1')),))
  lines = tables.terminal(table).splitlines()
  assert lines == ['名  n', '──  ─', 'x   1']


def test_mean_and_spread_agree_with_numpy():
  values = np.random.default_rng(0).uniform(0, 100, 7)
  cell = tables.spread(values)
  assert float(cell.value) == pytest.approx(values.mean(), abs=5e-3)
  assert cell.detail == f'± {values.std(ddof=1):.2f} (7)'
