"""Compares methods on growing subsets of the labels: table, figure and sentences."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import axes, figure, ticker

from ssl_jax.report import comparison, groups, statistics, tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_MOST_LINES = 8  # largest number of lines in one panel


@dataclasses.dataclass(frozen=True)
class _Line:
  """Holds the points of one row.

  Attributes:
    row: a method under a group of evaluations.
    results: x and mean [n, 2].
    bars: lengths of the error bars, down and up [2, n].
    published: x and value [m, 2].
  """

  row: groups.Row
  results: np.ndarray
  bars: np.ndarray
  published: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Style:
  """Holds a line's style, as numbers for `theme`, and its name in the legend."""

  label: str
  color: int
  line_style: int
  marker: int


@dataclasses.dataclass(frozen=True)
class _Axis:
  """Holds the x position of each label subset.

  Attributes:
    positions: column -> position.
    counted: whether positions are numbers of images rather than 0, 1, 2 ...
  """

  positions: dict[str, float]
  counted: bool


def content(study: Study) -> Content:
  """Returns the table, the figure and the comparison with published figures."""
  return Content(results=[table(study)], figures=figures(study),
                 findings=findings(study))


def table(study: Study) -> tables.Table:
  """Returns the test accuracy in percent, methods and protocols by label subsets."""
  names = groups.columns(study, study.label_subsets)
  return comparison.table(
      study, f'{study.data or "Test split"}, by share of labels',
      list(map(study.display_name, names)),
      [(row.name, [row.entries.get(name) for name in names])
       for row in groups.rows(study, study.label_subsets)])


def findings(study: Study) -> dict[str, list[str]]:
  """Returns a sentence for each row with published figures; none in a rehearsal."""
  return {'By number of labels': groups.versus_published(study, study.label_subsets)}


def figures(study: Study) -> list[theme.Figure]:
  """Returns a plot of accuracy by number of labelled images, a line for each row."""
  axis = _axis(study)
  lines = [_line(study, row, axis) for row in groups.rows(study, study.label_subsets)]
  lines = [line for line in lines if len(line.results)]
  if not lines:
    return []
  bars = statistics.bars_in_words(
      100 * study.accuracy(*e) for line in lines for e in line.row.entries.values()
      if len(study.accuracy(*e)))
  hollow = any(len(line.published) for line in lines)
  images = '; '.join(f'{study.display_name(c)}: {n:,.0f}'
                     for c, n in axis.positions.items())
  return [theme.Figure(
      'by_labels', 'Test accuracy by number of labelled training images'
      f'{f" ({images})" if axis.counted else ""}: mean over seeds{bars}.'
      + ' Hollow markers: published figures.' * hollow,
      'Accuracy by number of labels. ' + '; '.join(
          f'{line.row.name}: {" to ".join(f"{y:.1f}" for y in line.results[:, 1])} %'
          for line in lines) + '.',
      lambda palette: _draw(study, lines, axis, palette))]


def _axis(study: Study) -> _Axis:
  """Returns numbers of labelled images, or 0, 1, 2 ... if a number is unknown."""
  rows = groups.rows(study, study.label_subsets)
  images = {column: [r.labelled for row in rows if column in row.entries
                     for r in study.results(*row.entries[column]) if r.labelled]
            for column in groups.columns(study, study.label_subsets)}
  if all(images.values()):
    return _Axis({column: float(np.median(n)) for column, n in images.items()}, True)
  return _Axis({column: float(i) for i, column in enumerate(images)}, False)


def _line(study: Study, row: groups.Row, axis: _Axis) -> _Line:
  results, bars, published = [], [], []
  for column, entry in row.entries.items():
    known = [r.labelled for r in study.results(*entry) if r.labelled]
    x = np.mean(known) if axis.counted and known else axis.positions[column]
    percent = 100 * study.accuracy(*entry)
    if len(percent):
      results.append((x, percent.mean()))
      bars.append(statistics.error_bars(percent))
    published.extend((x, p.value) for p in study.published
                     if (p.method, p.evaluation) == entry)
  return _Line(row, np.array(results).reshape(-1, 2), np.array(bars).reshape(-1, 2).T,
               np.array(published).reshape(-1, 2))


def _draw(study: Study, lines: Sequence[_Line], axis: _Axis,
          palette: theme.Palette) -> figure.Figure:
  split = _split(lines)
  panels = _distinct(lines, split) if split else ['']
  columns = palette.columns(min(2, len(panels)), 2.2)
  rows = math.ceil(len(panels) / columns)
  height = 3.7 if len(panels) == 1 else 2.7
  fig = figure.Figure(figsize=(palette.width, height * rows), layout='constrained')
  grid = fig.subplots(rows, columns, squeeze=False, sharey=True).ravel()
  for ax, panel in zip(grid, panels, strict=False):
    for line in lines:
      if not split or getattr(line.row, split) == panel:
        _draw_line(ax, line, _style(study, lines, line, split), palette)
    ax.set_title(_name(study, lines, split, panel) if split else '', loc='left')
    _draw_axis(ax, study, axis)
  for ax in grid[::columns]:
    ax.set_ylabel('test top-1 (%)')
  for ax in grid[len(panels):]:
    ax.set_visible(False)
  theme.legend(fig, *grid)
  return fig


def _split(lines: Sequence[_Line]) -> str:
  """Returns the field that panels differ in, or '' if one panel is enough.

  It is 'group' or 'method', whichever gives fewer panels.
  """
  fewer = min(('group', 'method'), key=lambda field: len(_distinct(lines, field)))
  needed = len(lines) > _MOST_LINES or len(_distinct(lines, fewer)) == 1
  return fewer if needed else ''


def _distinct(lines: Sequence[_Line], field: str) -> list[str]:
  return list(dict.fromkeys(getattr(line.row, field) for line in lines))


def _name(study: Study, lines: Sequence[_Line], field: str, value: str) -> str:
  """Returns the name of a method or group, or of its row if it has only one."""
  names = [line.row.name for line in lines if getattr(line.row, field) == value]
  return names[0] if len(names) == 1 else study.display_name(value)


def _style(study: Study, lines: Sequence[_Line], line: _Line, split: str) -> _Style:
  """Returns the style of a line.

  The colour depends on the method, or on the group if each panel shows one method.
  """
  method = study.listed_methods.index(line.row.method)
  group = _distinct(lines, 'group').index(line.row.group)
  if not split:
    return _Style(line.row.name, method, group + theme.color_cycle(method), group)
  i, field = (group, 'group') if split == 'method' else (method, 'method')
  return _Style(_name(study, lines, field, getattr(line.row, field)), i,
                theme.color_cycle(i), i)


def _draw_line(ax: axes.Axes, line: _Line, style: _Style,
               palette: theme.Palette) -> None:
  color, marker = palette.color(style.color), theme.marker(style.marker)
  ax.errorbar(*line.results.T, yerr=line.bars if line.bars.any() else None,
              color=color, label=style.label, marker=marker, ms=4.5, lw=1.5,
              elinewidth=0.9, linestyle=theme.line_style(style.line_style))
  # The hollow markers are larger, so that they stay visible around filled ones.
  ax.plot(*line.published.T, color=color, marker=marker, ms=7, linestyle='none',
          markerfacecolor='none', zorder=1.9)


def _draw_axis(ax: axes.Axes, study: Study, axis: _Axis) -> None:
  if axis.counted:
    ax.set_xscale('log')
  ax.xaxis.set_minor_locator(ticker.NullLocator())
  ax.set_xticks(list(axis.positions.values()),
                [study.display_name(c) for c in axis.positions])
  ax.set_xlabel('labelled training images' + ' (log scale)' * axis.counted)
