"""Tests a table as text and Markdown, and its cells by hand."""

import numpy as np
import pytest

from ssl_jax.report import tables

Cell = tables.Cell


def test_mean_and_sd_by_hand():
  # mean 92; deviations -2, -1, 3; sum of squares 14; sample variance 7.
  assert str(tables.mean_and_sd([90, 91, 95])) == '92.00 ± 2.65 (3)'
  assert str(tables.mean_and_sd([93.0])) == '93.00 (1)'
  assert str(tables.mean_and_sd([])) == '–'
  assert str(tables.mean_and_sd([1, 2], decimals=1)) == '1.5 ± 0.7 (2)'


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
      '*: by a rule.\n')
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


def test_mean_and_sd_agree_with_numpy():
  values = np.random.default_rng(0).uniform(0, 100, 7)
  cell = tables.mean_and_sd(values)
  assert float(cell.value) == pytest.approx(values.mean(), abs=5e-3)
  assert cell.detail == f'± {values.std(ddof=1):.2f} (7)'


def test_a_wide_column_continues_below_with_its_published_figures():
  table = tables.Table('', ('m', 'a', 'b', tables.PUBLISHED, 'c'), (
      tables.text_cells('one', 'x' * 40, 'y' * 45, '1', '2'),))
  blocks = tables.terminal(table).rstrip().split('\n\n')  # 5 + 42 + 47 fit, + 8 do not
  assert [block.splitlines()[0].split() for block in blocks] == [
      ['m', 'a'], ['m', 'b', 'published', 'c']]
  assert blocks[1].splitlines()[2].split() == ['one', 'y' * 45, '1', '2']


def test_a_link_is_in_markdown_and_not_in_the_terminal():
  table = tables.Table('', ('n',), ((Cell('a|b', link='../x'),),))
  assert '| [a\\|b](../x) |' in tables.markdown(table)
  assert '../x' not in tables.terminal(table)


def test_markdown_has_no_markup_of_cells():
  table = tables.Table('', ('<n>',), ((Cell('<i>'),),))
  assert '| &lt;n> |' in tables.markdown(table)
  assert '| &lt;i> |' in tables.markdown(table)
