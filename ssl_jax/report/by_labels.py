"""Accuracy over a growing subset of the labels: a table, a figure, sentences."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import axes, figure, ticker

from ssl_jax.report import groups, records, results, tables, theme

_MOST_LINES = 8  # in one panel


@dataclasses.dataclass(frozen=True)
class _Line:
  """What one row shows: `ours` x, mean, sd [n, 3]; `theirs` x, value [m, 2]."""

  row: groups.Row
  ours: np.ndarray
  theirs: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Style:
  """How a line looks, as numbers for `theme`, and its name in the legend."""

  label: str
  colour: int
  dash: int
  marker: int


def table(study: records.Study) -> tables.Table:
  """Test accuracy in percent, published figures beside; no rows without subsets."""
  names = groups.columns(study, study.subsets)
  return results.comparison(
      study, f'{study.data or "Test split"}, by share of labels',
      [study.label(name) for name in names],
      [(row.name, [row.entries.get(name) for name in names])
       for row in groups.rows(study, study.subsets)])


def findings(study: records.Study) -> dict[str, list[str]]:
  """One sentence for each row that figures are published for; none in a rehearsal."""
  said = groups.findings(study, study.subsets)
  return {'By number of labels': said} if said else {}


def plot(study: records.Study) -> theme.Plot | None:
  """Accuracy against the number of labelled images, one line for each row."""
  places, counted = _places(study)
  lines = [_line(study, row, places, counted)
           for row in groups.rows(study, study.subsets)]
  lines = [line for line in lines if len(line.ours)]
  if not lines:
    return None
  bars = (', with bars of one sample standard deviation'
          if any(line.ours[:, 2].any() for line in lines) else '')
  hollow = ' Hollow: as published.' if any(len(line.theirs) for line in lines) else ''
  images = '; '.join(f'{study.label(c)}: {n:,.0f}' for c, n in places.items())
  return theme.Plot(
      'by_labels', f'Test accuracy over the number of labelled training images'
      f'{f" ({images})" if counted else ""}: mean over seeds{bars}.{hollow}',
      'Accuracy by number of labels. ' + '; '.join(
          f'{line.row.name}: {" to ".join(f"{y:.1f}" for y in line.ours[:, 1])} %'
          for line in lines) + '.',
      lambda look: _draw(study, lines, places, counted, look))


def _places(study: records.Study) -> tuple[dict[str, float], bool]:
  """Where each column stands on x: its number of images, or else its position."""
  rows = groups.rows(study, study.subsets)
  images = {column: [s.labelled for row in rows if column in row.entries
                     for s in study.scores(*row.entries[column]) if s.labelled]
            for column in groups.columns(study, study.subsets)}
  if all(images.values()):
    return {column: float(np.median(n)) for column, n in images.items()}, True
  return {column: float(i) for i, column in enumerate(images)}, False


def _line(study: records.Study, row: groups.Row, places: Mapping[str, float],
          counted: bool) -> _Line:
  ours, theirs = [], []
  for column, entry in row.entries.items():
    known = [s.labelled for s in study.scores(*entry) if s.labelled]
    x = np.mean(known) if counted and known else places[column]
    top1 = 100 * study.accuracy(*entry)
    if len(top1):
      ours.append((x, top1.mean(), top1.std(ddof=1) if len(top1) > 1 else 0.0))
    theirs.extend((x, p.value) for p in study.published
                  if (p.method, p.evaluation) == entry)
  return _Line(row, np.array(ours).reshape(-1, 3), np.array(theirs).reshape(-1, 2))


def _draw(study: records.Study, lines: Sequence[_Line], places: Mapping[str, float],
          counted: bool, look: theme.Theme) -> figure.Figure:
  by = _split(lines)
  panels = _distinct(lines, by) if by else ['']
  across = min(2, len(panels))
  down = math.ceil(len(panels) / across)
  height = 3.7 if len(panels) == 1 else 2.7
  fig = figure.Figure(figsize=(theme.WIDTH, height * down), layout='constrained')
  grid = fig.subplots(down, across, squeeze=False, sharey=True).ravel()
  for ax, panel in zip(grid, panels, strict=False):
    for line in lines:
      if not by or getattr(line.row, by) == panel:
        _draw_line(ax, line, _style(study, lines, line, by), look)
    ax.set_title(_name(study, lines, by, panel) if by else '', loc='left')
    _draw_places(ax, study, places, counted)
  for ax in grid[::across]:
    ax.set_ylabel('test top-1 (%)')
  for ax in grid[len(panels):]:
    ax.set_visible(False)
  theme.legend(fig, *grid)
  return fig


def _split(lines: Sequence[_Line]) -> str:
  """What panels are of: 'group' or 'method', whichever are fewer; '' for only one."""
  fewer = min(('group', 'method'), key=lambda by: len(_distinct(lines, by)))
  apart = len(lines) > _MOST_LINES or len(_distinct(lines, fewer)) == 1
  return fewer if apart else ''


def _distinct(lines: Sequence[_Line], field: str) -> list[str]:
  return list(dict.fromkeys(getattr(line.row, field) for line in lines))


def _name(study: records.Study, lines: Sequence[_Line], field: str, value: str) -> str:
  """The label of a method or a group, or of the only row that it has."""
  names = [line.row.name for line in lines if getattr(line.row, field) == value]
  return names[0] if len(names) == 1 else study.label(value)


def _style(study: records.Study, lines: Sequence[_Line], line: _Line,
           by: str) -> _Style:
  """Colours follow the method, unless a panel is of one method."""
  method = study.listed_methods.index(line.row.method)
  group = _distinct(lines, 'group').index(line.row.group)
  if not by:
    return _Style(line.row.name, method, group + theme.turn(method), group)
  i, field = (group, 'group') if by == 'method' else (method, 'method')
  return _Style(_name(study, lines, field, getattr(line.row, field)), i,
                theme.turn(i), i)


def _draw_line(ax: axes.Axes, line: _Line, style: _Style, look: theme.Theme) -> None:
  colour, marker = look.colour(style.colour), theme.marker(style.marker)
  x, mean, sd = line.ours.T
  ax.errorbar(x, mean, yerr=sd if sd.any() else None, color=colour, label=style.label,
              marker=marker, ms=4.5, lw=1.5, elinewidth=0.9,
              linestyle=theme.dash(style.dash))
  ax.plot(*line.theirs.T, color=colour, marker=marker, ms=7, linestyle='none',
          markerfacecolor='none', zorder=1.9)  # a ring around ours


def _draw_places(ax: axes.Axes, study: records.Study, places: Mapping[str, float],
                 counted: bool) -> None:
  if counted:
    ax.set_xscale('log')
  ax.xaxis.set_minor_locator(ticker.NullLocator())
  ax.set_xticks(list(places.values()), [study.label(c) for c in places])
  ax.set_xlabel('labelled training images' + ' (log scale)' * counted)
