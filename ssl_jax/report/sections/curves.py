"""Plots what was logged during pre-training: loss, gradients, online accuracy."""

import dataclasses
import math
import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib import axes, figure

from ssl_jax.report import theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import MethodRun, Study

_MOST_POINTS = 400  # largest number of points of a curve
_MOST_LINES = 6     # largest number of lines in a panel that also shows each seed


@dataclasses.dataclass(frozen=True)
class _Line:
  """Holds one method's curves, one per seed, each [points, 2].

  Attributes:
    label: the method's name in the legend.
    index: the method's number, which gives its colour.
    curves: epoch and value, per seed.
  """

  label: str
  index: int
  curves: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class _Panel:
  """Holds the lines that share axes."""

  title: str
  lines: tuple[_Line, ...]


def content(study: Study) -> Content:
  """Returns the figures of what was logged."""
  return Content(figures=figures(study))


def figures(study: Study) -> list[theme.Figure]:
  """Returns those of the five figures that the study logged values for."""
  drawn = (loss(study), optimizer(study), pretext(study), online(study),
           validation(study))
  return [drawing for drawing in drawn if drawing]


def loss(study: Study) -> theme.Figure | None:
  """Returns the training loss by epoch, methods of one training task in one panel."""
  lines = _lines(study, lambda _: 'train/loss')
  if not lines:
    return None
  ends = '; '.join(
      f'{line.label} goes from {np.mean([c[0, 1] for c in line.curves]):.3g} to '
      f'{np.mean([c[-1, 1] for c in line.curves]):.3g}' for line in lines)
  tasks: dict[str, list[_Line]] = {}
  for line in lines:
    tasks.setdefault(_task(study, line), []).append(line)
  panels = [_Panel(same[0].label if len(same) == 1 else task.replace('_', ' '),
                   tuple(same)) for task, same in tasks.items()]
  return theme.Figure(
      'loss', 'Training loss of each method: mean over seeds (thick) and each seed '
      '(thin). Losses of different training tasks cannot be compared, so each task has '
      'a panel.', f'Training loss by epoch. {ends}.', _curves(panels, 'loss', 1),
      title='Training loss')


def _task(study: Study, line: _Line) -> str:
  """Returns the name of a line's training task, or of its method if it is unknown."""
  method = study.listed_methods[line.index]
  for run in study.runs_of(method):
    config = run.pretrain.get('config') or {}
    if isinstance(config.get('method'), dict):
      return str(config['method'].get('name', method))
  return method


def optimizer(study: Study) -> theme.Figure | None:
  """Returns the learning rate and the norm of the gradient, all methods overlaid."""
  panels = [_Panel(title, lines) for title, name in (
      ('Learning rate', 'train/learning_rate'), ('Norm of the gradient',
                                                 'train/grad_norm'))
            if (lines := _lines(study, lambda _, name=name: name))]
  if not panels:
    return None
  return theme.Figure(
      'optimizer', 'Learning rate and norm of the gradient by epoch, mean over seeds.',
      ' '.join(f'{p.title}: ' + '; '.join(
          f'{line.label} has at most {max(c[:, 1].max() for c in line.curves):.3g}'
          for line in p.lines) + '.' for p in panels),
      _curves(panels, '', 1), title='Learning rate and gradients')


def pretext(study: Study) -> theme.Figure | None:
  """Returns the accuracy in the pretext task, for methods that log one."""
  def metric(run: MethodRun) -> str:
    names = {name for line in run.metrics for name in line}
    return min((n for n in names if n.startswith('train/') and 'accuracy' in n),
               default='')

  def title(line: _Line) -> str:
    runs = study.runs_of(study.listed_methods[line.index])
    name = max(map(metric, runs)).removeprefix('train/').replace('_', ' ')
    return f'{line.label}: {name}'

  lines = _lines(study, metric)
  if not lines:
    return None
  return theme.Figure(
      'pretext', 'Accuracy in each method\'s pretext task on its training batches. '
      'The tasks differ, and so do their chance levels.',
      f'Pretext-task accuracy by epoch. {_final(lines)}.',
      _curves([_Panel(title(line), (line,)) for line in lines], 'accuracy (%)', 100),
      title='Accuracy in the pretext task')


def online(study: Study) -> theme.Figure | None:
  """Returns every metric logged as `<evaluator>/top1`, one panel each."""
  names = sorted({name for run in study.runs for line in run.metrics
                  for name in line if name.endswith('/top1')})
  panels = []
  for name in names:
    lines = _lines(study, lambda _, name=name: name)
    if lines:
      evaluator = name.removesuffix('/top1')
      title = 'Probe' if evaluator == 'probe' else study.display_name(evaluator)
      panels.append(_Panel(f'{title}, online', lines))
  if not panels:
    return None
  caption = ('Accuracy of the evaluators that run during pre-training. Thick: mean '
             'over seeds; thin: each seed, if there are few methods.')
  if 'probe/top1' in names:
    caption += (' The online probe is scored on augmented training batches while the '
                'encoder still changes, so its accuracy is usually below that of a '
                'probe trained afterwards.')
  return theme.Figure(
      'online', caption, 'Online accuracy by epoch. ' + '. '.join(
          f'{p.title}: {_final(p.lines)}' for p in panels) + '.',
      _curves(panels, 'accuracy (%)', 100), title='Online accuracy')


def validation(study: Study) -> theme.Figure | None:
  """Returns what was measured without labels on validation images during training."""
  panels = [_Panel(title, lines) for title, name in (
      ('Effective rank', 'effective_rank'), ('Deviation of features',
                                             'feature_deviation'),
      ('Uniformity', 'uniformity'), ('Alignment of views', 'alignment'))
            if (lines := _lines(study, lambda _, name=name: f'validation/{name}'))]
  if not panels:
    return None
  return theme.Figure(
      'validation', 'Measures without labels on validation images: the number of '
      'directions in which features vary, the deviation of unit vectors (0 after a '
      'collapse, at most 1), uniformity (0 if all features are equal; lower is more '
      'even), and the squared distance of two views of an image.',
      ' '.join(f'{p.title}: ' + '; '.join(
          f'{line.label} ends at {np.mean([c[-1, 1] for c in line.curves]):.3g}'
          for line in p.lines) + '.' for p in panels),
      _curves(panels, '', 1), title='Is it learning? Measures without labels')


def _final(lines: Sequence[_Line]) -> str:
  return '; '.join(f'{line.label} ends at '
                   f'{100 * np.mean([c[-1, 1] for c in line.curves]):.1f} %'
                   for line in lines)


def _lines(study: Study, metric: Callable[[MethodRun], str]) -> tuple[_Line, ...]:
  """Returns one metric of every listed method that logged it at least twice."""
  lines = []
  for i, method in enumerate(study.listed_methods):
    curves = [run.curve(metric(run)) for run in study.runs_of(method)]
    curves = tuple(_shortened(c) for c in curves if len(c) > 1)
    if curves:
      lines.append(_Line(study.display_name(method), i, curves))
  return tuple(lines)


def _shortened(curve: np.ndarray) -> np.ndarray:
  """Returns means of equal blocks of points, at most `_MOST_POINTS`."""
  block = math.ceil(len(curve) / _MOST_POINTS)
  if block == 1:
    return curve
  return np.stack([part.mean(0) for part in np.split(
      curve, range(block, len(curve), block))])


def mean_curve(curves: Sequence[np.ndarray]) -> np.ndarray:
  """Returns the mean of curves [points, 2] over the range of x that all cover."""
  start, end = max(c[0, 0] for c in curves), min(c[-1, 0] for c in curves)
  x = np.unique(np.concatenate([c[:, 0] for c in curves]))
  x = x[(x >= start) & (x <= end)]
  y = np.mean([np.interp(x, c[:, 0], c[:, 1]) for c in curves], axis=0)
  return np.stack([x, y], axis=1)


def _curves(panels: Sequence[_Panel], unit: str,
            scale: float) -> Callable[[theme.Palette], figure.Figure]:
  """Returns a function that draws panels, at most three in a row, two if crowded.

  Args:
    panels: the panels.
    unit: label of the y axis.
    scale: factor that converts logged values to `unit`.
  """
  def draw(palette: theme.Palette) -> figure.Figure:
    crowded = any(len(panel.lines) > _MOST_LINES for panel in panels)
    columns = palette.columns(min(2 if crowded else 3, len(panels)), 2.2)
    rows = math.ceil(len(panels) / columns)
    fig = figure.Figure(figsize=(palette.width, (3.2 if crowded else 2.35) * rows),
                        layout='constrained')
    grid = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(grid, panels, strict=False):
      for line in panel.lines:
        # A line that is alone in its panel needs no dashes.
        style = theme.line_style(
            theme.color_cycle(line.index) if len(panel.lines) > 1 else 0)
        if not crowded:
          _draw_seeds(ax, line, palette.color(line.index), scale)
        mean = mean_curve(line.curves)
        ax.plot(mean[:, 0], scale * mean[:, 1], color=palette.color(line.index),
                lw=1.7, label=line.label, linestyle=style)
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


def _draw_seeds(ax: axes.Axes, line: _Line, color: str, scale: float) -> None:
  """Draws a thin line for each of several seeds; nothing for a single seed."""
  for curve in line.curves if len(line.curves) > 1 else ():
    ax.plot(curve[:, 0], scale * curve[:, 1], color=color, lw=0.6, alpha=0.45)
