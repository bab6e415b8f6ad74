"""Figures by class: accuracies and confusion matrices."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import axes, colors, figure, ticker

from ssl_jax.report import records, theme

_MOST_CLASSES = 30  # more rows than this cannot be read as a figure
_MOST_PANELS = 6    # nor can more matrices than this


def per_class(study: records.Study) -> theme.Plot | None:
  """Accuracy by class under the evaluation that most methods are to have."""
  evaluation = next(iter(study.about_classes()), '')
  values = {m: 100 * study.per_class(m, evaluation) for m in study.listed_methods}
  values = {m: v for m, v in values.items() if v.size}
  if not values:
    return None
  names = study.class_names(next(iter(values.values())).shape[1])
  means = {m: v.mean(axis=0) for m, v in values.items()}
  overall = np.mean(list(means.values()), axis=0)
  # NaN, a class without test images, sorts last.
  order = np.argsort(overall)[:np.isfinite(overall).sum()]
  if len(order) > _MOST_CLASSES:
    return None

  def draw(look: theme.Theme) -> figure.Figure:
    row = max(0.26, 0.075 * len(values))
    fig = figure.Figure(figsize=(theme.WIDTH, 0.9 + row * len(order)),
                        layout='constrained')
    ax = fig.subplots()
    offsets = np.linspace(0.3, -0.3, len(values)) if len(values) > 1 else [0.0]
    for (method, value), offset in zip(values.items(), offsets, strict=True):
      index = study.listed_methods.index(method)
      bars = value.std(axis=0, ddof=1)[order] if len(value) > 1 else None
      ax.errorbar(means[method][order], np.arange(len(order)) + offset, xerr=bars,
                  fmt=theme.marker(index + theme.turn(index)), ms=4, lw=0.9,
                  color=look.colour(index), label=study.label(method))
    ax.set_yticks(range(len(order)), [names[i] for i in order])
    ax.set_xlabel(f'{study.label(evaluation)}, accuracy of the class (%)')
    ax.grid(axis='both')
    ax.spines['left'].set_visible(False)
    theme.legend(fig, ax)
    return fig

  extremes = '; '.join(
      f'{study.label(m)} is best on {names[np.nanargmax(v)]} ({np.nanmax(v):.1f} %) '
      f'and worst on {names[np.nanargmin(v)]} ({np.nanmin(v):.1f} %)'
      for m, v in means.items())
  return theme.Plot(
      'per_class', f'{study.label(evaluation)}: accuracy of each class, mean over '
      'seeds, with bars of one sample standard deviation where there are several. '
      'The hardest class is at the bottom.', f'Accuracy by class. {extremes}.', draw)


def confusions(study: records.Study) -> theme.Plot | None:
  """For each method, the evaluation that it does best on."""
  panels, accuracies = [], []
  for i, method in enumerate(study.listed_methods):
    ranked = sorted(study.about_classes(), reverse=True,
                    key=lambda e: _mean(study.accuracy(method, e)))
    for evaluation in ranked:
      counts = [s.confusion for s in study.scores(method, evaluation)
                if s.confusion is not None]
      if counts:
        title = f'{study.label(method)}, {study.label(evaluation)}'
        panels.append((title, i, _rates(np.sum(counts, axis=0))))
        accuracies.append(_mean(study.accuracy(method, evaluation)))
        break
  if not panels:
    return None
  chosen = sorted(np.argsort(accuracies)[::-1][:_MOST_PANELS])
  best = f' The {_MOST_PANELS} best methods.' if len(panels) > len(chosen) else ''
  panels = [panels[i] for i in chosen]

  def draw(look: theme.Theme) -> figure.Figure:
    rows = math.ceil(len(panels) / 2)
    fig = figure.Figure(figsize=(theme.WIDTH, 3.5 * rows), layout='constrained')
    grid = fig.subplots(rows, 2, squeeze=False).ravel()
    for ax, (title, index, rates) in zip(grid, panels, strict=False):
      _draw_confusion(ax, rates, study.class_names(len(rates)), look,
                      look.colour(index))
      ax.set_title(textwrap.fill(title, 48), loc='left')
    for ax in grid[len(panels):]:
      ax.set_visible(False)
    return fig

  return theme.Plot(
      'confusion', 'Where the errors go: percentage of each true class (row) '
      'predicted as each class (column), summed over seeds, for the evaluation that '
      'each method does best on. Colour grows with the square root, to show errors.'
      + best,
      'Confusion matrices. ' + '; '.join(
          f'{title}: {_worst(rates, study)}' for title, _, rates in panels) + '.', draw)


def _mean(values: np.ndarray) -> float:
  return float(values.mean()) if len(values) else -1.0


def _rates(counts: np.ndarray) -> np.ndarray:
  """Percentages of each row; a class without images gives a row of zeros."""
  return 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _worst(rates: np.ndarray, study: records.Study) -> str:
  errors = rates - np.diag(np.diag(rates))
  true, predicted = np.unravel_index(errors.argmax(), errors.shape)
  names = study.class_names(len(rates))
  return (f'most often {names[true]} taken for {names[predicted]} '
          f'({errors.max():.1f} %)')


def _draw_confusion(ax: axes.Axes, rates: np.ndarray, names: Sequence[str],
                    look: theme.Theme, colour: str) -> None:
  scale = colors.LinearSegmentedColormap.from_list('', [look.ground, colour])
  ax.pcolormesh(np.sqrt(rates), cmap=scale, vmin=0, vmax=10, linewidth=0)
  ax.set_aspect('equal')
  ax.invert_yaxis()
  ax.grid(False)
  ax.spines[:].set_visible(False)
  ax.tick_params(length=0)
  ax.set_xlabel('predicted')
  ax.set_ylabel('true')
  if len(names) > _MOST_CLASSES:
    ax.xaxis.set_major_locator(ticker.NullLocator())
    ax.yaxis.set_major_locator(ticker.NullLocator())
    return
  middle = np.arange(len(names)) + 0.5
  longest = max(map(len, names))
  ax.set_xticks(middle, names, rotation=0 if longest < 3 else 90)
  ax.set_yticks(middle, names)
  if len(names) > 12:
    return
  for (i, j), rate in np.ndenumerate(rates):
    if rate > 0.5:  # the rest would print as 0
      ax.text(j + 0.5, i + 0.5, f'{rate:.0f}', ha='center', va='center',
              fontsize=6.5, color=theme.ink_on(scale(np.sqrt(rate) / 10)))
