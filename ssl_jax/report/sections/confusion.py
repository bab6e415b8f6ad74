"""Shows the confusion matrix of each method."""

import dataclasses
import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import axes, colors, figure, ticker

from ssl_jax.report import theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_MOST_NAMES = 30    # largest number of classes whose names are shown
_MOST_NUMBERS = 12  # largest number of classes for which cells show numbers
_MOST_PANELS = 6    # largest number of matrices in a figure


@dataclasses.dataclass(frozen=True)
class _Matrix:
  """Holds the confusion matrix of one method.

  Attributes:
    title: the method and its evaluation.
    index: the method's number, which gives its colour.
    rates: percentages of each true class (row), float [K, K].
    accuracy: mean accuracy over seeds, a fraction.
  """

  title: str
  index: int
  rates: np.ndarray
  accuracy: float


def content(study: Study) -> Content:
  """Returns the figure of confusion matrices."""
  return Content(figures=figures(study))


def figures(study: Study) -> list[theme.Figure]:
  """Returns a matrix per method, of one evaluation for all methods that have it.

  A method without that one is shown by the evaluation in which it scores best.
  """
  common = _common_evaluation(study)
  found = [m for i in range(len(study.listed_methods))
           if (m := _matrix(study, i, common))]
  if not found:
    return []
  best = sorted(np.argsort([m.accuracy for m in found])[::-1][:_MOST_PANELS])
  shown = [found[i] for i in best]
  only_best = f' The {_MOST_PANELS} best methods.' if len(found) > len(shown) else ''
  return [theme.Figure(
      'confusion', 'Confusion matrices: percentage of each true class (row) that was '
      'predicted as each class (column), over all seeds. The colour scale is a '
      'square root, so that errors can be seen.' + only_best,
      'Confusion matrices. ' + '; '.join(
          f'{m.title}: {_worst(study, m.rates)}' for m in shown) + '.',
      lambda palette: _draw(study, shown, palette))]


def _common_evaluation(study: Study) -> str:
  """Returns the evaluation that most methods have a matrix of; '' if there is none."""
  def methods(evaluation: str) -> int:
    return sum(any(r.confusion is not None for r in study.results(m, evaluation))
               for m in study.listed_methods)
  return max(study.evaluations_with_classes(), key=methods, default='')


def _matrix(study: Study, index: int, common: str) -> _Matrix | None:
  method = study.listed_methods[index]
  evaluations = sorted(study.evaluations_with_classes(), reverse=True, key=lambda e: (
      e == common, _mean(study.accuracy(method, e))))
  for evaluation in evaluations:
    counts = [r.confusion for r in study.results(method, evaluation)
              if r.confusion is not None]
    if counts:
      return _Matrix(
          f'{study.display_name(method)}, {study.display_name(evaluation)}', index,
          _rates(np.sum(counts, axis=0)), _mean(study.accuracy(method, evaluation)))
  return None


def _mean(values: np.ndarray) -> float:
  """Returns the mean of accuracies, or -1 for no values, which is below all others."""
  return float(values.mean()) if len(values) else -1.0


def _rates(counts: np.ndarray) -> np.ndarray:
  """Returns percentages of each row; a class without images has a row of zeros."""
  return 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _worst(study: Study, rates: np.ndarray) -> str:
  errors = rates - np.diag(np.diag(rates))
  true, predicted = np.unravel_index(errors.argmax(), errors.shape)
  names = study.class_names(len(rates))
  return (f'the most frequent error is {names[true]} predicted as {names[predicted]} '
          f'({errors.max():.1f} %)')


def _draw(study: Study, matrices: Sequence[_Matrix],
          palette: theme.Palette) -> figure.Figure:
  wanted = 2 if len(matrices) in (2, 4) else 3
  columns = min(len(matrices), palette.columns(wanted, 2.2))
  rows = math.ceil(len(matrices) / columns)
  side = palette.width / max(columns, palette.columns(2, 2.2))
  fig = figure.Figure(figsize=(columns * side, (side + 0.15) * rows),
                      layout='constrained')
  grid = fig.subplots(rows, columns, squeeze=False).ravel()
  for ax, matrix in zip(grid, matrices, strict=False):
    scale = colors.LinearSegmentedColormap.from_list(
        '', [palette.background, palette.color(matrix.index)])
    ax.pcolormesh(np.sqrt(matrix.rates), cmap=scale, vmin=0, vmax=10, linewidth=0)
    ax.set_aspect('equal')
    ax.invert_yaxis()
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xlabel('predicted')
    ax.set_ylabel('true')
    ax.set_title(textwrap.fill(matrix.title, int(14 * side)), loc='left')
    _label(ax, matrix.rates, study.class_names(len(matrix.rates)), scale)
  for ax in grid[len(matrices):]:
    ax.set_visible(False)
  return fig


def _label(ax: axes.Axes, rates: np.ndarray, names: Sequence[str],
           scale: colors.Colormap) -> None:
  """Writes the names of classes and the numbers, unless they are too many.

  Args:
    ax: the axes of the matrix.
    rates: percentages [K, K].
    names: names of the K classes.
    scale: the colours of the cells.
  """
  if len(names) > _MOST_NAMES:
    ax.xaxis.set_major_locator(ticker.NullLocator())
    ax.yaxis.set_major_locator(ticker.NullLocator())
    return
  centers = np.arange(len(names)) + 0.5
  longest = max(map(len, names))
  ax.set_xticks(centers, names, rotation=0 if longest < 3 else 90)
  ax.set_yticks(centers, names)
  if len(names) > _MOST_NUMBERS:
    return
  for (i, j), rate in np.ndenumerate(rates):
    if rate > 0.5:  # a smaller one would print as 0
      ax.text(j + 0.5, i + 0.5, f'{rate:.0f}', ha='center', va='center',
              fontsize=6.5, color=theme.text_color_on(scale(np.sqrt(rate) / 10)))
