"""Compares methods on several data sets: table, figure and sentences."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib import axes, figure

from ssl_jax.report import comparison, groups, statistics, tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study


def content(study: Study) -> Content:
  """Returns the table, the figure and the comparison with published figures."""
  return Content(results=[table(study)], figures=figures(study),
                 findings=findings(study))


def table(study: Study) -> tables.Table:
  """Returns the test accuracy in percent, data sets by methods and protocols."""
  names = groups.columns(study, study.data_sets)
  rows = groups.rows(study, study.data_sets)
  return comparison.table(
      study, 'Every data set', [row.name for row in rows],
      [(study.display_name(name), [row.entries.get(name) for row in rows])
       for name in names],
      row_header='Data set', competition=_competition(names, rows))


def _competition(names: Sequence[str], rows: Sequence[groups.Row]
                 ) -> comparison.Competition:
  """Returns the competition of methods under one protocol on one data set."""
  by_group = [[row for row in rows if row.group == group]
              for group in dict.fromkeys(row.group for row in rows)]
  return comparison.Competition('data set and protocol', [
      [row.entries[name] for row in same_group if name in row.entries]
      for name, same_group in itertools.product(names, by_group)])


def findings(study: Study) -> dict[str, list[str]]:
  """Returns a sentence for each row with published figures; none in a rehearsal."""
  return {'By data set': groups.versus_published(study, study.data_sets)}


def figures(study: Study) -> list[theme.Figure]:
  """Returns a plot with one line per data set, a marker per method and protocol."""
  names = groups.columns(study, study.data_sets)
  rows = [row for row in groups.rows(study, study.data_sets)
          if any(len(study.accuracy(*e)) for e in row.entries.values())]
  if not rows:
    return []
  shown = [e for row in rows for e in row.entries.values()]
  bars = statistics.bars_in_words(
      100 * study.accuracy(*e) for e in shown if len(study.accuracy(*e)))
  hollow = any((p.method, p.evaluation) in shown for p in study.published)
  return [theme.Figure(
      'by_data_set', f'Test accuracy on every data set: mean over seeds{bars}.'
      + ' Hollow markers: published figures.' * hollow,
      'Accuracy by data set. ' + '; '.join(_alt(study, row) for row in rows) + '.',
      lambda palette: _draw(study, names, rows, palette))]


def _alt(study: Study, row: groups.Row) -> str:
  values = {column: study.accuracy(*e) for column, e in row.entries.items()}
  return f'{row.name}: ' + ', '.join(
      f'{study.display_name(column)} {100 * v.mean():.1f} %'
      for column, v in values.items() if len(v))


def _draw(study: Study, names: Sequence[str], rows: Sequence[groups.Row],
          palette: theme.Palette) -> figure.Figure:
  height = max(0.34, 0.09 * len(rows) + 0.1)
  fig = figure.Figure(figsize=(palette.width, 0.9 + height * len(names)),
                      layout='constrained')
  ax = fig.subplots()
  offsets = np.linspace(-0.28, 0.28, len(rows)) if len(rows) > 1 else [0.0]
  one_method = len({row.method for row in rows}) == 1
  for i, (row, offset) in enumerate(zip(rows, offsets, strict=True)):
    group = list(dict.fromkeys(r.group for r in rows)).index(row.group)
    method = i if one_method else study.listed_methods.index(row.method)
    y = {name: j + offset for j, name in enumerate(names)}
    _draw_row(ax, study, row, y, palette.color(method), theme.marker(group))
  ax.set_yticks(range(len(names)), list(map(study.display_name, names)))
  ax.set_ylim(len(names) - 0.5, -0.5)  # the first data set is at the top
  ax.set_xlabel('test accuracy (%)')
  ax.grid(axis='x')
  ax.grid(visible=False, axis='y')
  for boundary in range(1, len(names)):
    ax.axhline(boundary - 0.5, color=palette.grid_line, lw=0.6, zorder=0)
  ax.spines['left'].set_visible(False)
  theme.legend(fig, ax)
  return fig


def _draw_row(ax: axes.Axes, study: Study, row: groups.Row, y: dict[str, float],
              color: str, marker: str) -> None:
  """Draws the results of one row and the published figures.

  Args:
    ax: the axes to draw into.
    study: gives the results.
    row: a method under a group of evaluations.
    y: the height of each column's marker.
    color: colour of the markers.
    marker: shape of the markers.
  """
  found = [(y[column], 100 * study.accuracy(*e))
           for column, e in row.entries.items() if len(study.accuracy(*e))]
  bars = np.stack([statistics.error_bars(v) for _, v in found], axis=1)
  ax.errorbar([v.mean() for _, v in found], [height for height, _ in found],
              xerr=bars if bars.any() else None, fmt=marker, ms=4.5, lw=0.9,
              color=color, label=row.name)
  places = {e: y[column] for column, e in row.entries.items()}
  published = [(p.value, places[p.method, p.evaluation]) for p in study.published
               if (p.method, p.evaluation) in places]
  ax.plot(*np.array(published).reshape(-1, 2).T, color=color, marker=marker, ms=6.5,
          linestyle='none', markerfacecolor='none', zorder=1.9)
