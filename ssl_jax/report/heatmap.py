"""A square grid of pairs, such as augmentations: a heat map and its table.

As figure 5 of Chen et al. 2020, arXiv:2002.05709: single ones on the diagonal, the
average of each row in a last column. A pair has no order, so it stands twice.
"""

import dataclasses
import textwrap
from collections.abc import Iterator

import numpy as np
from matplotlib import colors, figure

from ssl_jax.report import records, tables, theme

_GAP = 0.3  # of a cell, between the grid and its averages


@dataclasses.dataclass(frozen=True)
class Grid:
  """One evaluation of the cells.

  means: test top-1 in percent, float [K, K], NaN where there is none.
  averages: of each row [K], NaN unless all that it is to have are there.
  methods: (row, column) -> the method that stands there.
  """

  means: np.ndarray
  averages: np.ndarray
  methods: dict[tuple[int, int], str]


def grid(study: records.Study, evaluation: str) -> Grid:
  """Means over seeds of the cells that the study applies `evaluation` to."""
  methods = {}
  for method, (i, j) in study.heatmap.cells.items():
    if study.wants(method, evaluation):
      methods[i, j] = methods[j, i] = method
  size = len(study.heatmap.axes)
  means, averages = np.full((size, size), np.nan), np.full(size, np.nan)
  for place, method in methods.items():
    top1 = study.accuracy(method, evaluation)
    means[place] = 100 * top1.mean() if len(top1) else np.nan
  for i in range(size):
    asked = [means[i, j] for j in range(size) if (i, j) in methods]
    averages[i] = np.mean(asked) if asked else np.nan
  return Grid(means, averages, methods)


def table(study: records.Study, evaluation: str) -> tables.Table:
  """The grid in percent: mean, spread and number of seeds of every cell."""
  found, names = grid(study, evaluation), _names(study)
  rows = []
  for i, name in enumerate(names):
    cells = [_cell(study, found.methods.get((i, j)), evaluation)
             for j in range(len(names))]
    asked = any((i, j) in found.methods for j in range(len(names)))
    average = found.averages[i]
    last = f'{average:.1f}' if np.isfinite(average) else tables.ABSENT * asked
    rows.append((tables.Cell(name), *cells, tables.Cell(last)))
  notes = [f'Published: {study.label(p.method)} {p.value:.2f} % ({p.source}).'
           for p in study.published
           if p.evaluation == evaluation and p.method in found.methods.values()]
  return tables.Table(
      f'{study.label(evaluation)}: top-1 test accuracy of every pair, singles on the '
      'diagonal, in %, mean ± sample standard deviation (number of seeds).',
      ('', *names, 'Average'), tuple(rows), tuple(notes))


def evaluations(study: records.Study) -> list[str]:
  """The evaluations that the study applies to any cell."""
  return [e for e in study.evaluations
          if any(study.wants(m, e) for m in study.heatmap.cells)]


def plots(study: records.Study) -> Iterator[theme.Plot]:
  """One heat map for each evaluation that any cell has a result of."""
  for evaluation in evaluations(study):
    found = grid(study, evaluation)
    if np.isfinite(found.means).any():
      yield theme.Plot(
          f'heatmap_{evaluation}', f'{study.label(evaluation)}: test accuracy (%) of '
          'every pair, mean over seeds. Diagonal: a single one. The last column '
          'averages the row.', _alt(study, evaluation, found),
          lambda look, found=found: _draw(found, _names(study), look),
          table(study, evaluation))


def _names(study: records.Study) -> list[str]:
  return [study.labels.get(a, a.replace('_', ' ')) for a in study.heatmap.axes]


def _cell(study: records.Study, method: str | None, evaluation: str) -> tables.Cell:
  if method is None:
    return tables.BLANK
  return tables.spread(100 * study.accuracy(method, evaluation), 1)


def _alt(study: records.Study, evaluation: str, found: Grid) -> str:
  names = _names(study)

  def told(place):
    i, j = map(int, place)
    name = names[i] if i == j else f'{names[i]} with {names[j]}'
    return f'{name} ({found.means[i, j]:.1f} %)'

  ends = [told(np.unravel_index(f(found.means), found.means.shape))
          for f in (np.nanargmax, np.nanargmin)]
  return (f'Heat map of pairs, {study.label(evaluation)}. Best: {ends[0]}; '
          f'worst: {ends[1]}.')


def _draw(found: Grid, names: list[str], look: theme.Theme) -> figure.Figure:
  size = len(names)
  fig = figure.Figure(figsize=(theme.WIDTH, 0.7 + 0.55 * size), layout='constrained')
  ax = fig.subplots()
  scale = colors.LinearSegmentedColormap.from_list('', look.heat)
  ends = colors.Normalize(np.nanmin(found.means), np.nanmax(found.means))
  for left, values in ((0, found.means), (size + _GAP, found.averages[:, None])):
    edges = left + np.arange(values.shape[1] + 1)
    ax.pcolormesh(edges, np.arange(size + 1), np.ma.masked_invalid(values), cmap=scale,
                  norm=ends, edgecolor=look.ground, linewidth=1.5)
    for (i, j), value in np.ndenumerate(values):
      if np.isfinite(value):
        ax.text(left + j + 0.5, i + 0.5, f'{value:.1f}', ha='center', va='center',
                fontsize=9.5, color=theme.ink_on(scale(ends(value))))
  middle = np.arange(size) + 0.5
  ax.set_xticks([*middle, size + _GAP + 0.5], [
      textwrap.fill(name, max(8, 80 // size), break_long_words=False)
      for name in (*names, 'Average')])
  ax.set_yticks(middle, names)
  ax.xaxis.tick_top()
  ax.tick_params(length=0)
  ax.invert_yaxis()
  ax.grid(False)
  ax.spines[:].set_visible(False)
  return fig
