"""Shows the accuracy of each class: a folded table and a figure."""

import numpy as np
from matplotlib import figure

from ssl_jax.report import statistics, tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_MOST_CLASSES = 30  # a figure with more classes is not readable


def content(study: Study) -> Content:
  """Returns the table and the figure of the evaluation requested for most methods."""
  for evaluation in study.evaluations_with_classes()[:1]:
    return Content(details=[table(study, evaluation)],
                   figures=figures(study, evaluation))
  return Content()


def table(study: Study, evaluation: str) -> tables.Table:
  """Returns the accuracy of each class in percent, classes by methods."""
  found = _percent(study, evaluation)
  classes = max((values.shape[1] for values in found.values()), default=0)
  rows = tuple((tables.Cell(name), *(tables.mean_and_sd(v[np.isfinite(v[:, i]), i], 1)
                                     for v in found.values()))
               for i, name in enumerate(study.class_names(classes)))
  return tables.Table(
      f'{study.display_name(evaluation)}: accuracy of each class, in %.',
      ('Class', *map(study.display_name, found)), rows,
      title='Accuracy of each class')


def figures(study: Study, evaluation: str) -> list[theme.Figure]:
  """Returns a plot of the classes, a marker per method; none for many classes.

  Classes that are numbers are in their order, others in the order of their accuracy.
  """
  found = _percent(study, evaluation)
  if not found:
    return []
  names = study.class_names(next(iter(found.values())).shape[1])
  means = {m: v.mean(axis=0) for m, v in found.items()}
  overall = np.mean(list(means.values()), axis=0)
  numbered = all(name[:1].isdigit() for name in names)
  order = np.arange(len(names)) if numbered else np.argsort(overall)[::-1]
  order = order[np.isfinite(overall[order])]  # NaN: a class without test images
  if len(order) > _MOST_CLASSES:
    return []
  extremes = '; '.join(
      f'{study.display_name(m)} is best on {names[np.nanargmax(v)]} '
      f'({np.nanmax(v):.1f} %) and worst on {names[np.nanargmin(v)]} '
      f'({np.nanmin(v):.1f} %)' for m, v in means.items())
  return [theme.Figure(
      'per_class', f'{study.display_name(evaluation)}: accuracy of each class, mean '
      f'over seeds{statistics.bars_in_words(v[:, order] for v in found.values())}.'
      + ' The hardest class is at the bottom.' * (not numbered),
      f'Accuracy by class. {extremes}.',
      lambda palette: _draw(study, evaluation, order, palette),
      title='Accuracy of each class')]


def _percent(study: Study, evaluation: str) -> dict[str, np.ndarray]:
  """Returns the accuracies [n, K] of each method that has any."""
  found = {m: 100 * study.per_class(m, evaluation) for m in study.listed_methods}
  return {m: values for m, values in found.items() if values.size}


def _draw(study: Study, evaluation: str, order: np.ndarray,
          palette: theme.Palette) -> figure.Figure:
  found = _percent(study, evaluation)
  height = max(0.26, 0.075 * len(found))
  fig = figure.Figure(figsize=(palette.width, 0.9 + height * len(order)),
                      layout='constrained')
  ax = fig.subplots()
  offsets = np.linspace(-0.3, 0.3, len(found)) if len(found) > 1 else [0.0]
  for (method, values), offset in zip(found.items(), offsets, strict=True):
    i = study.listed_methods.index(method)
    bars = statistics.error_bars(values[:, order]) if len(values) > 1 else None
    ax.errorbar(values.mean(axis=0)[order], np.arange(len(order)) + offset, xerr=bars,
                fmt=theme.marker(i + theme.color_cycle(i)), ms=4, lw=0.9,
                color=palette.color(i), label=study.display_name(method))
  names = study.class_names(next(iter(found.values())).shape[1])
  ax.set_yticks(range(len(order)), [names[i] for i in order])
  ax.invert_yaxis()  # the first class is at the top
  ax.set_xlabel(f'{study.display_name(evaluation)}, accuracy of the class (%)')
  ax.grid(axis='both')
  ax.spines['left'].set_visible(False)
  theme.legend(fig, ax)
  return fig
