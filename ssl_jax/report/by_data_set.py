"""Accuracy on several data sets: a table, a figure, sentences."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib import axes, figure

from ssl_jax.report import compare, groups, records, results, tables, theme

_RULE = 'data set and protocol'  # what means are the best of


def table(study: records.Study) -> tables.Table:
  """Test accuracy in percent, published figures beside; no rows without data sets."""
  names = groups.columns(study, study.data_sets)
  rows = groups.rows(study, study.data_sets)
  return results.comparison(
      study, 'Every data set', [row.name for row in rows],
      [(study.label(name), [row.entries.get(name) for row in rows]) for name in names],
      corner='Data set', rivals=(_RULE, _rivals(names, rows)))


def _rivals(names: Sequence[str], rows: Sequence[groups.Row]
            ) -> list[list[compare.Entry]]:
  """Methods compete by one protocol on one data set."""
  by_group = [[row for row in rows if row.group == group]
              for group in dict.fromkeys(row.group for row in rows)]
  return [[row.entries[name] for row in same if name in row.entries]
          for name, same in itertools.product(names, by_group)]


def findings(study: records.Study) -> dict[str, list[str]]:
  """One sentence for each row that figures are published for; none in a rehearsal."""
  said = groups.findings(study, study.data_sets)
  return {'By data set': said} if said else {}


def plot(study: records.Study) -> theme.Plot | None:
  """Data sets from top to bottom, one mark for each method and protocol."""
  names = groups.columns(study, study.data_sets)
  rows = [row for row in groups.rows(study, study.data_sets)
          if any(len(study.accuracy(*e)) for e in row.entries.values())]
  if not rows:
    return None
  shown = [e for row in rows for e in row.entries.values()]
  bars = (', with bars of one sample standard deviation'
          if any(len(study.accuracy(*e)) > 1 for e in shown) else '')
  theirs = any((p.method, p.evaluation) in shown for p in study.published)
  return theme.Plot(
      'by_data_set', f'Test accuracy on every data set: mean over seeds{bars}.'
      + ' Hollow: as published.' * theirs,
      'Accuracy by data set. ' + '; '.join(_told(study, row) for row in rows) + '.',
      lambda look: _draw(study, names, rows, look))


def _told(study: records.Study, row: groups.Row) -> str:
  values = {column: study.accuracy(*e) for column, e in row.entries.items()}
  return f'{row.name}: ' + ', '.join(
      f'{study.label(column)} {100 * v.mean():.1f} %'
      for column, v in values.items() if len(v))


def _draw(study: records.Study, names: Sequence[str], rows: Sequence[groups.Row],
          look: theme.Theme) -> figure.Figure:
  height = max(0.34, 0.09 * len(rows) + 0.1)
  fig = figure.Figure(figsize=(theme.WIDTH, 0.9 + height * len(names)),
                      layout='constrained')
  ax = fig.subplots()
  offsets = np.linspace(-0.28, 0.28, len(rows)) if len(rows) > 1 else [0.0]
  one_method = len({row.method for row in rows}) == 1
  for i, (row, offset) in enumerate(zip(rows, offsets, strict=True)):
    group = list(dict.fromkeys(r.group for r in rows)).index(row.group)
    method = i if one_method else study.listed_methods.index(row.method)
    _draw_row(ax, study, names, row, offset, look.colour(method), theme.marker(group))
  ax.set_yticks(range(len(names)), [study.label(name) for name in names])
  ax.set_ylim(len(names) - 0.5, -0.5)  # the first one on top
  ax.set_xlabel('test accuracy (%)')
  ax.grid(axis='x')
  ax.grid(visible=False, axis='y')
  for y in range(1, len(names)):
    ax.axhline(y - 0.5, color=look.faint, lw=0.6, zorder=0)
  ax.spines['left'].set_visible(False)
  theme.legend(fig, ax)
  return fig


def _draw_row(ax: axes.Axes, study: records.Study, names: Sequence[str],
              row: groups.Row, offset: float, colour: str, marker: str) -> None:
  found = [(names.index(column) + offset, 100 * study.accuracy(*e))
           for column, e in row.entries.items() if len(study.accuracy(*e))]
  spread = [v.std(ddof=1) if len(v) > 1 else 0.0 for _, v in found]
  ax.errorbar([v.mean() for _, v in found], [y for y, _ in found],
              xerr=spread if any(spread) else None, fmt=marker, ms=4.5, lw=0.9,
              color=colour, label=row.name)
  places = {e: names.index(column) + offset for column, e in row.entries.items()}
  theirs = [(p.value, places[p.method, p.evaluation]) for p in study.published
            if (p.method, p.evaluation) in places]
  ax.plot(*np.array(theirs).reshape(-1, 2).T, color=colour, marker=marker, ms=6.5,
          linestyle='none', markerfacecolor='none', zorder=1.9)
