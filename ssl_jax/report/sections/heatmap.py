"""Shows a grid of methods as a heat map with its table.

The grid is either one quantity by another, such as batch size by epochs, or it has all
pairs of one kind of object, such as augmentations. Pairs are shown as in figure 5 of
Chen et al. 2020, arXiv:2002.05709: the diagonal has each object alone, and the last
column has the average of the row. A pair has no order, so it appears twice.
"""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colors, figure

from ssl_jax.report import tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_GAP = 0.3  # cells between the grid and its averages


@dataclasses.dataclass(frozen=True)
class HeatmapData:
  """Holds one evaluation of all cells.

  Attributes:
    rows: names of the R rows.
    columns: names of the C columns.
    means: test accuracy in percent, float [R, C], NaN without a result.
    averages: average of each row [R], NaN unless all requested cells have results;
      None if the cells are not pairs.
    methods: (row, column) -> the method of that cell.
  """

  rows: list[str]
  columns: list[str]
  means: np.ndarray
  averages: np.ndarray | None
  methods: dict[tuple[int, int], str]


def content(study: Study) -> Content:
  """Returns the heat maps, each with its table."""
  return Content(figures=figures(study))


def data(study: Study, evaluation: str) -> HeatmapData:
  """Returns the means over seeds of the cells that `evaluation` is requested for."""
  methods, pairs = {}, not study.heatmap.columns
  for method, (i, j) in study.heatmap.cells.items():
    if study.requests(method, evaluation):
      methods[i, j] = method
      if pairs:
        methods[j, i] = method
  rows = _names(study, study.heatmap.axes)
  columns = rows if pairs else _names(study, study.heatmap.columns)
  means = np.full((len(rows), len(columns)), np.nan)
  for cell, method in methods.items():
    accuracy = study.accuracy(method, evaluation)
    means[cell] = 100 * accuracy.mean() if len(accuracy) else np.nan
  averages = _averages(means, methods) if pairs else None
  return HeatmapData(rows, columns, means, averages, methods)


def _averages(means: np.ndarray, methods: Mapping[tuple[int, int], str]
              ) -> np.ndarray:
  averages = np.full(len(means), np.nan)
  for i, row in enumerate(means):
    requested = [mean for j, mean in enumerate(row) if (i, j) in methods]
    averages[i] = np.mean(requested) if requested else np.nan
  return averages


def table(study: Study, evaluation: str) -> tables.Table:
  """Returns the cells in percent: mean, standard deviation and number of seeds."""
  found = data(study, evaluation)
  header, rows = ['', *found.columns], []
  for i, name in enumerate(found.rows):
    methods = [found.methods.get((i, j)) for j in range(len(found.columns))]
    cells = [tables.Cell(name), *(_cell(study, m, evaluation) for m in methods)]
    if found.averages is not None:
      average = found.averages[i]
      cells.append(tables.Cell(
          f'{average:.1f}' if np.isfinite(average) else tables.ABSENT * any(methods)))
    rows.append(tuple(cells))
  cells_in_words = 'every cell'
  if found.averages is not None:
    header.append('Average')
    cells_in_words = 'every pair (on the diagonal: one alone)'
  notes = [f'Published: {study.display_name(p.method)} {p.value:.2f} % ({p.source}).'
           for p in study.published
           if p.evaluation == evaluation and p.method in found.methods.values()]
  return tables.Table(
      f'{study.display_name(evaluation)}: top-1 test accuracy of {cells_in_words}, in '
      '%, mean ± sample standard deviation (number of seeds).',
      tuple(header), tuple(rows), tuple(notes))


def figures(study: Study) -> list[theme.Figure]:
  """Returns a heat map for each evaluation that any cell has a result of."""
  drawn = []
  for evaluation in study.evaluations:
    found = data(study, evaluation)
    if np.isfinite(found.means).any():
      what = ('cell, mean over seeds.' if found.averages is None else
              'pair, mean over seeds. The diagonal has one alone. The last column is '
              'the average of the row.')
      drawn.append(theme.Figure(
          f'heatmap_{evaluation}',
          f'{study.display_name(evaluation)}: test accuracy (%) of every {what}',
          _alt(study, evaluation, found),
          lambda palette, found=found: _draw(found, palette), table(study, evaluation)))
  return drawn


def _names(study: Study, axis: Sequence[str]) -> list[str]:
  return [study.display_names.get(a, a.replace('_', ' ')) for a in axis]


def _cell(study: Study, method: str | None, evaluation: str) -> tables.Cell:
  if method is None:
    return tables.BLANK
  return tables.mean_and_sd(100 * study.accuracy(method, evaluation), 1)


def _alt(study: Study, evaluation: str, found: HeatmapData) -> str:
  pairs = found.averages is not None

  def in_words(cell: tuple[int, int]) -> str:
    i, j = map(int, cell)
    alone = pairs and i == j
    name = found.rows[i] if alone else f'{found.rows[i]} with {found.columns[j]}'
    return f'{name} ({found.means[i, j]:.1f} %)'

  best, worst = (in_words(np.unravel_index(f(found.means), found.means.shape))
                 for f in (np.nanargmax, np.nanargmin))
  return (f'Heat map{" of pairs" * pairs}, {study.display_name(evaluation)}. '
          f'Best: {best}; worst: {worst}.')


def _draw(found: HeatmapData, palette: theme.Palette) -> figure.Figure:
  rows, columns = found.means.shape
  fig = figure.Figure(figsize=(palette.width, 0.7 + 0.55 * rows), layout='constrained')
  ax = fig.subplots()
  scale = colors.LinearSegmentedColormap.from_list('', palette.heat)
  normalize = colors.Normalize(np.nanmin(found.means), np.nanmax(found.means))
  centers = np.arange(max(rows, columns)) + 0.5
  ticks, names = list(centers[:columns]), list(found.columns)
  parts = [(0, found.means)]  # left edge and values
  if found.averages is not None:
    parts.append((columns + _GAP, found.averages[:, None]))
    ticks.append(columns + _GAP + 0.5)
    names.append('Average')
  for left, values in parts:
    edges = left + np.arange(values.shape[1] + 1)
    ax.pcolormesh(edges, np.arange(rows + 1), np.ma.masked_invalid(values), cmap=scale,
                  norm=normalize, edgecolor=palette.background, linewidth=1.5)
    for (i, j), value in np.ndenumerate(values):
      if np.isfinite(value):
        ax.text(left + j + 0.5, i + 0.5, f'{value:.1f}', ha='center', va='center',
                fontsize=min(9.5, 10 * palette.width / columns),
                color=theme.text_color_on(scale(normalize(value))))
  ax.set_xticks(ticks, [
      textwrap.fill(name, max(8, 80 // columns), break_long_words=False)
      for name in names])
  ax.set_yticks(centers[:rows], found.rows)
  ax.xaxis.tick_top()
  ax.tick_params(length=0)
  ax.invert_yaxis()
  ax.grid(False)
  ax.spines[:].set_visible(False)
  return fig
