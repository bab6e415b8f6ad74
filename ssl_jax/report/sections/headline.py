"""Compares methods on the evaluations that belong to no group: table and sentences."""

import math
from collections.abc import Iterator

from ssl_jax.report import comparison, groups, statistics, tables
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_BASELINES = ('random', 'supervised')  # first words of the names of baselines
_MOST_COMPARED = 6  # largest number of method-baseline pairs that are all compared


def content(study: Study) -> Content:
  """Returns the headline table and the comparisons in words."""
  return Content(results=[table(study)], findings=findings(study))


def table(study: Study) -> tables.Table:
  """Returns the test accuracy in percent, methods by evaluations.

  Cells of a heat map, label subsets and several data sets have sections of their own,
  so there may be no rows.
  """
  evaluations = study.listed_evaluations
  rows = [(study.display_name(method), [(method, e) for e in evaluations])
          for method in study.listed_methods
          if any(study.requests(method, e) for e in evaluations)]
  return comparison.table(study, study.data or 'Test split',
                          list(map(study.display_name, evaluations)), rows)


def findings(study: Study) -> dict[str, list[str]]:
  """Returns sentences about differences, by the display name of the evaluation.

  For each evaluation, the best two methods are compared, and the best one with the
  baselines, `random*` and `supervised*`. The evaluation requested for most methods
  compares every method with the baselines, if they are few. Sentences on published
  figures follow, except in a rehearsal.
  """
  found = {}
  methods, evaluations = study.listed_methods, study.listed_evaluations
  main = max(evaluations, default=None,
             key=lambda e: sum(study.requests(m, e) for m in methods))
  for evaluation in evaluations:
    present = [m for m in methods if len(study.accuracy(m, evaluation))]
    present.sort(key=lambda m: -study.accuracy(m, evaluation).mean())
    baselines = [m for m in methods if m in present and _is_baseline(m)]
    learned = [m for m in present if not _is_baseline(m)]
    sentences = [_versus(study, evaluation, *learned[:2])] if len(learned) > 1 else []
    every = evaluation == main and len(learned) * len(baselines) <= _MOST_COMPARED
    sentences.extend(_versus(study, evaluation, method, baseline)
                     for method in (learned if every else learned[:1])
                     for baseline in baselines)
    if not study.rehearsal:
      sentences.extend(_versus_published(study, evaluation))
    if sentences:
      found[study.display_name(evaluation)] = sentences
  return found


def _is_baseline(method: str) -> bool:
  return method.split('_')[0] in _BASELINES


def _versus(study: Study, evaluation: str, a: str, b: str) -> str:
  """Returns one sentence that compares method `a` with method `b`."""
  first, second = (a, evaluation), (b, evaluation)
  x, y = study.accuracy(*first), study.accuracy(*second)
  margin = 100 * statistics.margin_between(study, first, second)
  points = 100 * (x.mean() - y.mean())
  one, other = study.display_name(a), study.display_name(b)
  counts = (f'{groups.count(len(x))} each' if len(x) == len(y)
            else f'{len(x)} and {len(y)} seeds')
  if math.isinf(margin):
    return (f'{one} is {_gap(points)} {other}; with a single seed on one side, this '
            'may be noise.')
  if not statistics.separated(study, first, second):
    return (f'{one} and {other} are not separated: {abs(points):.1f} points apart, '
            f'within the 95 % margin of {margin:.1f} ({counts}).')
  return f'{one} is {_gap(points)} {other} (95 % margin {margin:.1f}; {counts}).'


def _versus_published(study: Study, evaluation: str) -> Iterator[str]:
  for p in study.published:
    accuracy = study.accuracy(p.method, evaluation)
    if p.evaluation == evaluation and len(accuracy):
      yield (f'{study.display_name(p.method)} is '
             f'{_gap(100 * accuracy.mean() - p.value)} the published {p.value:.2f} % '
             f'({p.source}; {groups.count(len(accuracy))} here).')


def _gap(points: float) -> str:
  return f'{abs(points):.1f} points {"above" if points >= 0 else "below"}'
