"""The tables of a report: one structure, rendered as text, Markdown or HTML.

HTML is rendered by the page's template, from the same `Table`.
"""

import dataclasses
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

ABSENT = '–'      # asked for and not there
THEIRS = 'theirs'  # header of published figures, beside ours on the left
_TERMINAL = 100   # columns of text before a table goes on below


@dataclasses.dataclass(frozen=True)
class Cell:
  """A value and, set more quietly after it, its spread and number of seeds."""

  value: str
  detail: str = ''
  bold: bool = False

  def __str__(self) -> str:
    return f'{self.value} {self.detail}'.rstrip()


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows of cells under a header; the first `left` columns are aligned left."""

  caption: str
  header: tuple[str, ...]
  rows: tuple[tuple[Cell, ...], ...]
  notes: tuple[str, ...] = ()
  left: int = 1


BLANK = Cell('')  # not asked for


def row(*texts: str) -> tuple[Cell, ...]:
  """Cells of plain text."""
  return tuple(map(Cell, texts))


def spread(values: Sequence[float], decimals: int = 2) -> Cell:
  """`mean ± sd (n)`, sd being the sample standard deviation (ddof = 1).

  One value prints no ±, none prints a dash.
  """
  if not len(values):
    return Cell(ABSENT)
  mean = f'{np.mean(values):.{decimals}f}'
  if len(values) == 1:
    return Cell(mean, '(1)')
  return Cell(mean, f'± {np.std(values, ddof=1):.{decimals}f} ({len(values)})')


def terminal(table: Table) -> str:
  """The table as aligned text; `*` marks what other renderings set in bold.

  Columns beyond the width of a terminal go on below, under the same first one.
  """
  # A column with a star anywhere keeps a blank in its place everywhere else.
  blank = [' ' * any(cells[j].bold for cells in table.rows)
           for j in range(len(table.header))]
  grid = [[name + b for name, b in zip(table.header, blank, strict=True)]]
  for cells in table.rows:
    grid.append([f'{cell}*' if cell.bold else f'{cell}{b}'
                 for cell, b in zip(cells, blank, strict=True)])
  widths = [max(_width(line[j]) for line in grid) for j in range(len(table.header))]
  blocks = []
  for chosen in _blocks(table.header, widths):
    lines = []
    for line in grid:
      padded = (_padded(line[j], widths[j], left=j < table.left) for j in chosen)
      lines.append('  '.join(padded).rstrip())
    lines.insert(1, '  '.join('─' * widths[j] for j in chosen))
    blocks.append('\n'.join(lines))
  notes = [textwrap.fill(n.replace('Bold:', '*'), 80) for n in table.notes]
  caption = textwrap.fill(table.caption, 80)
  parts = [caption, '\n\n'.join(blocks), '\n'.join(notes)]
  return '\n\n'.join(part for part in parts if part) + '\n'


def _blocks(header: Sequence[str], widths: Sequence[int]) -> Iterator[list[int]]:
  """Columns that fit side by side, after the first; published stay beside ours."""
  inseparable: list[list[int]] = []
  for j, name in enumerate(header[1:], 1):
    if name == THEIRS:
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
  """Columns that `text` takes in a terminal: wide characters take two."""
  return sum(2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in text)


def markdown(table: Table) -> str:
  """The table in GitHub's Markdown, its caption above and its notes below."""
  def escaped(text: str) -> str:
    return text.replace('|', '\\|').replace('\n', ' ')

  rules = ['---' if i < table.left else '---:' for i in range(len(table.header))]
  rows = [[f'**{c.value}** {c.detail}'.rstrip() if c.bold else str(c) for c in cells]
          for cells in table.rows]
  lines = ['| ' + ' | '.join(map(escaped, line)) + ' |'
           for line in (list(table.header), rules, *rows)]
  return '\n\n'.join([table.caption, '\n'.join(lines), *table.notes]) + '\n'
