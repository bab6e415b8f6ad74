"""Holds a report's tables and renders them as text and Markdown.

The page's template renders the same `Table` as HTML.
"""

import dataclasses
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from ssl_jax.report import statistics

ABSENT = '–'             # text of a requested result that is missing
PUBLISHED = 'published'  # header of published figures, to the right of this study's
_TERMINAL = 100          # characters of a line; wider tables continue below


@dataclasses.dataclass(frozen=True)
class Cell:
  """Holds the text of one cell.

  Attributes:
    value: the value.
    detail: its spread and number of seeds, printed in a lighter colour.
    bold: whether the value is bold.
    link: address of a file, relative to the report's folder; '' for no link.
  """

  value: str
  detail: str = ''
  bold: bool = False
  link: str = ''

  def __str__(self) -> str:
    return f'{self.value} {self.detail}'.rstrip()


@dataclasses.dataclass(frozen=True)
class Table:
  """Holds rows of cells under a header.

  Attributes:
    caption: text printed above the table.
    header: header of each column.
    rows: cells of each row.
    notes: sentences printed below the table.
    left_aligned: number of columns, from the left, that are aligned left.
    title: the line that is shown while the table is folded.
    file: name of a file in the report's folder with the same numbers, or ''.
  """

  caption: str
  header: tuple[str, ...]
  rows: tuple[tuple[Cell, ...], ...]
  notes: tuple[str, ...] = ()
  left_aligned: int = 1
  title: str = ''
  file: str = ''


BLANK = Cell('')  # not requested


def text_cells(*texts: str) -> tuple[Cell, ...]:
  """Returns cells of plain text."""
  return tuple(map(Cell, texts))


def mean_and_sd(values: Sequence[float], decimals: int = 2) -> Cell:
  """Returns the cell `mean ± sd (n)`, sd being the sample standard deviation.

  A single value has no ±; without values the cell is a dash.
  """
  if not len(values):
    return Cell(ABSENT)
  mean = f'{np.mean(values):.{decimals}f}'
  if len(values) == 1:
    return Cell(mean, '(1)')
  sd = statistics.standard_deviation(values)
  return Cell(mean, f'± {sd:.{decimals}f} ({len(values)})')


def terminal(table: Table) -> str:
  """Returns the table as aligned text; `*` marks bold numbers.

  Columns beyond the width of a terminal continue below, after the first column.
  """
  # If any cell of a column has a star, the other cells have a blank at its place.
  blank = [' ' * any(cells[j].bold for cells in table.rows)
           for j in range(len(table.header))]
  grid = [[name + b for name, b in zip(table.header, blank, strict=True)]]
  for cells in table.rows:
    grid.append([f'{cell}*' if cell.bold else f'{cell}{b}'
                 for cell, b in zip(cells, blank, strict=True)])
  widths = [max(_width(line[j]) for line in grid) for j in range(len(table.header))]
  blocks = []
  for columns in _blocks(table.header, widths):
    lines = []
    for line in grid:
      padded = (_padded(line[j], widths[j], left=j < table.left_aligned)
                for j in columns)
      lines.append('  '.join(padded).rstrip())
    lines.insert(1, '  '.join('─' * widths[j] for j in columns))
    blocks.append('\n'.join(lines))
  notes = [textwrap.fill(n.replace('Bold:', '*:'), 80) for n in table.notes]
  caption = textwrap.fill(table.caption, 80)
  parts = [caption, '\n\n'.join(blocks), '\n'.join(notes)]
  return '\n\n'.join(part for part in parts if part) + '\n'


def _blocks(header: Sequence[str], widths: Sequence[int]) -> Iterator[list[int]]:
  """Yields the columns that fit on a line, each block starting with the first.

  A column of published figures stays next to the column that it belongs to.
  """
  inseparable: list[list[int]] = []
  for j, name in enumerate(header[1:], 1):
    if name == PUBLISHED:
      inseparable[-1].append(j)
    else:
      inseparable.append([j])
  block = [0]
  for columns in inseparable:
    full = sum(widths[j] + 2 for j in block + columns) > _TERMINAL
    if full and len(block) > 1:
      yield block
      block = [0]
    block = block + columns
  yield block


def _padded(text: str, width: int, left: bool) -> str:
  space = ' ' * (width - _width(text))
  return text + space if left else space + text


def _width(text: str) -> int:
  """Returns the columns of a terminal that `text` fills; wide characters fill two."""
  return sum(2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in text)


def markdown(table: Table) -> str:
  """Returns the table in GitHub's Markdown, its caption above and its notes below."""
  rules = ['---' if i < table.left_aligned else '---:'
           for i in range(len(table.header))]
  rows = [list(map(_markdown_cell, cells)) for cells in table.rows]
  lines = ['| ' + ' | '.join(line) + ' |'
           for line in (map(_escaped, table.header), rules, *rows)]
  return '\n\n'.join([table.caption, '\n'.join(lines), *table.notes]) + '\n'


def _markdown_cell(cell: Cell) -> str:
  value = f'**{_escaped(cell.value)}**' if cell.bold else _escaped(cell.value)
  value = f'[{value}]({cell.link})' if cell.link else value
  return f'{value} {_escaped(cell.detail)}'.rstrip()


def _escaped(text: str) -> str:
  return text.replace('|', '\\|').replace('<', '&lt;').replace('\n', ' ')
