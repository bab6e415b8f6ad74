"""The figures of a report, drawn by matplotlib without a display.

Here are the curves of pre-training; `class_plots` has the figures by class, and
`by_labels`, `by_data_set`, `heatmap` those of the studies that have such evaluations.
"""

import dataclasses
import math
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib import axes, figure

from ssl_jax.report import by_data_set, by_labels, class_plots, heatmap, records, theme

_MOST_POINTS = 400  # a wider figure than a page has no room for more
_MOST_LINES = 6     # in one panel, for each seed to be drawn as well


@dataclasses.dataclass(frozen=True)
class _Line:
  """One method's curves, one per seed, each [points, 2]; `index` colours it."""

  label: str
  index: int
  curves: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class _Panel:
  title: str
  lines: tuple[_Line, ...]


def plots(study: records.Study) -> list[theme.Plot]:
  """The figures that the study has data for, in the page's order."""
  drawn = (by_labels.plot(study), by_data_set.plot(study), *heatmap.plots(study),
           _losses(study), _pretext(study), _online(study),
           class_plots.per_class(study), class_plots.confusions(study))
  return [dataclasses.replace(plot, footer=study.rehearsal) for plot in drawn if plot]


def _losses(study: records.Study) -> theme.Plot | None:
  lines = _lines(study, lambda _: 'train/loss')
  if not lines:
    return None
  ends = '; '.join(
      f'{line.label} goes from {np.mean([c[0, 1] for c in line.curves]):.3g} to '
      f'{np.mean([c[-1, 1] for c in line.curves]):.3g}' for line in lines)
  return theme.Plot(
      'loss', 'Loss of each method\'s own task during pre-training: mean over '
      'seeds (thick), each seed (thin). Losses of different tasks do not compare.',
      f'Training loss by epoch. {ends}.',
      _curves([_Panel(line.label, (line,)) for line in lines], 'loss', 1))


def _pretext(study: records.Study) -> theme.Plot | None:
  """Accuracy at the task that pre-training poses, where a method logs one."""
  def key(run: records.Run) -> str:
    names = {name for line in run.metrics for name in line}
    return min((n for n in names if n.startswith('train/') and 'accuracy' in n),
               default='')

  def title(line: _Line) -> str:
    runs = study.of(study.listed_methods[line.index])
    return f'{line.label}: {_words(max(map(key, runs)))}'

  lines = _lines(study, key)
  if not lines:
    return None
  return theme.Plot(
      'pretext', 'Accuracy at each method\'s own task on its training batches. '
      'The tasks differ; so do their chance levels.',
      f'Training-task accuracy by epoch. {_final(lines)}.',
      _curves([_Panel(title(line), (line,)) for line in lines], 'accuracy (%)', 100))


def _online(study: records.Study) -> theme.Plot | None:
  """Every metric logged as `<evaluator>/top1`, one panel each."""
  names = sorted({name for run in study.runs for line in run.metrics
                  for name in line if name.endswith('/top1')})
  panels = []
  for name in names:
    lines = _lines(study, lambda _, name=name: name)
    if lines:
      evaluator = name.removesuffix('/top1')
      title = 'Probe' if evaluator == 'probe' else study.label(evaluator)
      panels.append(_Panel(f'{title}, online', lines))
  if not panels:
    return None
  return theme.Plot(
      'online', 'What the encoder is worth as it learns: accuracy of the '
      'evaluators that run during pre-training. Thick: mean over seeds; thin: each '
      'seed, where there are few methods.', 'Online accuracy by epoch. ' + '. '.join(
          f'{p.title}: {_final(p.lines)}' for p in panels) + '.',
      _curves(panels, 'accuracy (%)', 100))


def _words(name: str) -> str:
  return name.removeprefix('train/').replace('_', ' ')


def _final(lines: Sequence[_Line]) -> str:
  return '; '.join(f'{line.label} ends at '
                   f'{100 * np.mean([c[-1, 1] for c in line.curves]):.1f} %'
                   for line in lines)


def _lines(study: records.Study,
           key: Callable[[records.Run], str]) -> tuple[_Line, ...]:
  """One metric of every listed method that logged it at two steps or more."""
  lines = []
  for i, method in enumerate(study.listed_methods):
    curves = [run.curve(key(run)) for run in study.of(method)]
    curves = tuple(_thinned(c) for c in curves if len(c) > 1)
    if curves:
      lines.append(_Line(study.label(method), i, curves))
  return tuple(lines)


def _thinned(curve: np.ndarray) -> np.ndarray:
  """Means of equal blocks, so that at most `_MOST_POINTS` are left."""
  block = math.ceil(len(curve) / _MOST_POINTS)
  if block == 1:
    return curve
  return np.stack([part.mean(0) for part in np.split(
      curve, range(block, len(curve), block))])


def mean_curve(curves: Sequence[np.ndarray]) -> np.ndarray:
  """The mean of curves [points, 2] over the stretch of x that all of them cover."""
  start, end = max(c[0, 0] for c in curves), min(c[-1, 0] for c in curves)
  x = np.unique(np.concatenate([c[:, 0] for c in curves]))
  x = x[(x >= start) & (x <= end)]
  y = np.mean([np.interp(x, c[:, 0], c[:, 1]) for c in curves], axis=0)
  return np.stack([x, y], axis=1)


def _curves(panels: Sequence[_Panel], unit: str,
            scale: float) -> Callable[[theme.Theme], figure.Figure]:
  """Panels side by side, at most three in a row, two where they hold many lines."""
  def draw(look: theme.Theme) -> figure.Figure:
    crowded = any(len(panel.lines) > _MOST_LINES for panel in panels)
    columns = min(2 if crowded else 3, len(panels))
    rows = math.ceil(len(panels) / columns)
    fig = figure.Figure(figsize=(theme.WIDTH, (3.2 if crowded else 2.35) * rows),
                        layout='constrained')
    grid = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(grid, panels, strict=False):
      for line in panel.lines:
        # Alone in a panel, a line needs no dashes to be told from others.
        dash = theme.dash(theme.turn(line.index) if len(panel.lines) > 1 else 0)
        _draw_line(ax, line, look.colour(line.index), dash, scale, faint=not crowded)
      ax.set_title(textwrap.fill(panel.title, 96 // columns), loc='left')
      ax.set_xlabel('epoch')
      ax.margins(x=0.02)
    for ax in grid[::columns]:
      ax.set_ylabel(unit)
    for ax in grid[len(panels):]:
      ax.set_visible(False)
    if any(len(panel.lines) > 1 for panel in panels):
      theme.legend(fig, *grid)
    return fig

  return draw


def _draw_line(ax: axes.Axes, line: _Line, colour: str, dash: str | tuple,
               scale: float, faint: bool) -> None:
  if faint and len(line.curves) > 1:
    for curve in line.curves:
      ax.plot(curve[:, 0], scale * curve[:, 1], color=colour, lw=0.6, alpha=0.45)
  mean = mean_curve(line.curves)
  ax.plot(mean[:, 0], scale * mean[:, 1], color=colour, lw=1.7, label=line.label,
          linestyle=dash)
