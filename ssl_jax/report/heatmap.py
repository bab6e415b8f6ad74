"""A grid of methods: a heat map and its table.

Either of one thing by another, such as batch size by epochs, or of the pairs of one
thing, such as augmentations: as figure 5 of Chen et al. 2020, arXiv:2002.05709, with
single ones on the diagonal and the average of each row in a last column. A pair has no
order, so it stands twice.
"""

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import colors, figure

from ssl_jax.report import records, tables, theme

_GAP = 0.3  # of a cell, between the grid and its averages


@dataclasses.dataclass(frozen=True)
class Grid:
  """One evaluation of the cells.

  rows, columns: names to print.
  means: test top-1 in percent, float [R, C], NaN where there is none.
  averages: of each row of pairs [R], NaN unless all that it is to have are there;
    None where cells are no pairs.
  methods: (row, column) -> the method that stands there.
  """

  rows: list[str]
  columns: list[str]
  means: np.ndarray
  averages: np.ndarray | None
  methods: dict[tuple[int, int], str]


def grid(study: records.Study, evaluation: str) -> Grid:
  """Means over seeds of the cells that the study applies `evaluation` to."""
  methods, pairs = {}, not study.heatmap.columns
  for method, (i, j) in study.heatmap.cells.items():
    if study.wants(method, evaluation):
      methods[i, j] = method
      if pairs:
        methods[j, i] = method
  rows = _names(study, study.heatmap.axes)
  columns = rows if pairs else _names(study, study.heatmap.columns)
  means = np.full((len(rows), len(columns)), np.nan)
  for place, method in methods.items():
    top1 = study.accuracy(method, evaluation)
    means[place] = 100 * top1.mean() if len(top1) else np.nan
  averages = _averages(means, methods) if pairs else None
  return Grid(rows, columns, means, averages, methods)


def _averages(means: np.ndarray, methods: dict[tuple[int, int], str]) -> np.ndarray:
  averages = np.full(len(means), np.nan)
  for i, row in enumerate(means):
    asked = [mean for j, mean in enumerate(row) if (i, j) in methods]
    averages[i] = np.mean(asked) if asked else np.nan
  return averages


def table(study: records.Study, evaluation: str) -> tables.Table:
  """The grid in percent: mean, spread and number of seeds of every cell."""
  found = grid(study, evaluation)
  header, rows = ['', *found.columns], []
  for i, name in enumerate(found.rows):
    methods = [found.methods.get((i, j)) for j in range(len(found.columns))]
    cells = [tables.Cell(name), *(_cell(study, m, evaluation) for m in methods)]
    if found.averages is not None:
      average = found.averages[i]
      cells.append(tables.Cell(
          f'{average:.1f}' if np.isfinite(average) else tables.ABSENT * any(methods)))
    rows.append(tuple(cells))
  of = 'every cell'
  if found.averages is not None:
    header.append('Average')
    of = 'every pair, singles on the diagonal'
  notes = [f'Published: {study.label(p.method)} {p.value:.2f} % ({p.source}).'
           for p in study.published
           if p.evaluation == evaluation and p.method in found.methods.values()]
  return tables.Table(
      f'{study.label(evaluation)}: top-1 test accuracy of {of}, in %, mean ± sample '
      'standard deviation (number of seeds).', tuple(header), tuple(rows), tuple(notes))


def evaluations(study: records.Study) -> list[str]:
  """The evaluations that the study applies to any cell."""
  return [e for e in study.evaluations
          if any(study.wants(m, e) for m in study.heatmap.cells)]


def plots(study: records.Study) -> Iterator[theme.Plot]:
  """One heat map for each evaluation that any cell has a result of."""
  for evaluation in evaluations(study):
    found = grid(study, evaluation)
    if np.isfinite(found.means).any():
      told = ('cell, mean over seeds.' if found.averages is None else
              'pair, mean over seeds. Diagonal: a single one. The last column averages '
              'the row.')
      yield theme.Plot(
          f'heatmap_{evaluation}',
          f'{study.label(evaluation)}: test accuracy (%) of every {told}',
          _alt(study, evaluation, found), lambda look, found=found: _draw(found, look),
          table(study, evaluation))


def _names(study: records.Study, axis: Sequence[str]) -> list[str]:
  return [study.labels.get(a, a.replace('_', ' ')) for a in axis]


def _cell(study: records.Study, method: str | None, evaluation: str) -> tables.Cell:
  if method is None:
    return tables.BLANK
  return tables.spread(100 * study.accuracy(method, evaluation), 1)


def _alt(study: records.Study, evaluation: str, found: Grid) -> str:
  pairs = found.averages is not None

  def told(place):
    i, j = map(int, place)
    alone = pairs and i == j
    name = found.rows[i] if alone else f'{found.rows[i]} with {found.columns[j]}'
    return f'{name} ({found.means[i, j]:.1f} %)'

  ends = [told(np.unravel_index(f(found.means), found.means.shape))
          for f in (np.nanargmax, np.nanargmin)]
  return (f'Heat map{" of pairs" * pairs}, {study.label(evaluation)}. Best: {ends[0]}; '
          f'worst: {ends[1]}.')


def _draw(found: Grid, look: theme.Theme) -> figure.Figure:
  down, across = found.means.shape
  fig = figure.Figure(figsize=(theme.WIDTH, 0.7 + 0.55 * down), layout='constrained')
  ax = fig.subplots()
  scale = colors.LinearSegmentedColormap.from_list('', look.heat)
  ends = colors.Normalize(np.nanmin(found.means), np.nanmax(found.means))
  middle = np.arange(max(down, across)) + 0.5
  places, names, parts = list(middle[:across]), list(found.columns), [(0, found.means)]
  if found.averages is not None:
    parts.append((across + _GAP, found.averages[:, None]))
    places.append(across + _GAP + 0.5)
    names.append('Average')
  for left, values in parts:
    edges = left + np.arange(values.shape[1] + 1)
    ax.pcolormesh(edges, np.arange(down + 1), np.ma.masked_invalid(values), cmap=scale,
                  norm=ends, edgecolor=look.ground, linewidth=1.5)
    for (i, j), value in np.ndenumerate(values):
      if np.isfinite(value):
        ax.text(left + j + 0.5, i + 0.5, f'{value:.1f}', ha='center', va='center',
                fontsize=9.5, color=theme.ink_on(scale(ends(value))))
  ax.set_xticks(places, [
      textwrap.fill(name, max(8, 80 // across), break_long_words=False)
      for name in names])
  ax.set_yticks(middle[:down], found.rows)
  ax.xaxis.tick_top()
  ax.tick_params(length=0)
  ax.invert_yaxis()
  ax.grid(False)
  ax.spines[:].set_visible(False)
  return fig
