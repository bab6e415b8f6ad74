"""Which differences between methods are more than noise, and what to say of them.

Two sources of noise: seeds (Welch's t interval) and the finite test split
(binomial, the methods taken as independent although they share its images,
which errs towards caution).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ssl_jax.report import records

Entry = tuple[str, str]  # method and evaluation

_BASELINES = ('random', 'supervised')  # first words of the names of such methods
_MOST_COMPARED = 6  # pairs of a method and a baseline; else only the best method
# Two-sided 95 % quantiles of Student's t for 1 to 9 degrees of freedom, and 10+.
_T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


def rule(place: str, bold: bool) -> str:
  """What being the best of its `place` takes, or that nothing is."""
  if not bold:
    return (f'No mean is in bold: none leads its {place} by more than the 95 % margin, '
            'or there are too few seeds to tell.')
  return (f'Bold: the best mean of its {place} where it leads every other one by '
          'more than the 95 % margin of their difference (Welch\'s t over seeds, '
          'with the sampling error of the test images); never with a single seed.')


def margin(a: np.ndarray, b: np.ndarray, images: float) -> float:
  """Half-width of the 95 % interval of mean(a) - mean(b).

  Args:
    a: test accuracies of one method, fractions, one per seed [n].
    b: those of another [m].
    images: size of the test split that both were measured on; 0 if unknown.

  Returns:
    A fraction; infinite where either method has fewer than two seeds.
  """
  if min(len(a), len(b)) < 2:
    return math.inf
  u, v = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
  p, q = a.mean(), b.mean()
  sampling = (p * (1 - p) + q * (1 - q)) / images if images else 0.0
  return math.sqrt(_t95(u, len(a), v, len(b))**2 * (u + v) + 1.96**2 * sampling)


def _t95(u: float, n: int, v: float, m: int) -> float:
  """Student's t at the degrees of freedom of Welch and Satterthwaite."""
  if u + v == 0:
    return 0.0
  freedom = (u + v)**2 / (u**2 / (n - 1) + v**2 / (m - 1))
  return _T95[min(int(freedom), len(_T95)) - 1]


def best(study: records.Study, entries: Sequence[Entry]) -> Entry | None:
  """Which of a column's entries to print in bold by `rule`, if there is one."""
  there = [e for e in entries if len(study.accuracy(*e))]
  if len(there) < 2:
    return None
  top = max(there, key=lambda e: study.accuracy(*e).mean())
  return top if all(_separated(study, top, e) for e in there if e != top) else None


def findings(study: records.Study) -> dict[str, list[str]]:
  """Sentences computed from the numbers, by the label of the evaluation.

  The best two methods of every evaluation are set against each other, and the best
  one against the baselines, `random*` and `supervised*`, where the study has them.
  On the evaluation that most methods are to have, all methods are, if they are few.
  Published figures follow, unless this is a rehearsal, which nothing published can
  be compared with.
  """
  said = {}
  methods, evaluations = study.listed_methods, study.listed_evaluations
  main = max(evaluations, default=None,
             key=lambda e: sum(study.wants(m, e) for m in methods))
  for evaluation in evaluations:
    there = [m for m in methods if len(study.accuracy(m, evaluation))]
    there.sort(key=lambda m: -study.accuracy(m, evaluation).mean())
    baselines = [m for m in methods if m in there and _is_baseline(m)]
    learned = [m for m in there if not _is_baseline(m)]
    sentences = [_versus(study, evaluation, *learned[:2])] if len(learned) > 1 else []
    every = evaluation == main and len(learned) * len(baselines) <= _MOST_COMPARED
    sentences.extend(_versus(study, evaluation, method, baseline)
                     for method in (learned if every else learned[:1])
                     for baseline in baselines)
    if not study.rehearsal:
      sentences.extend(_versus_published(study, evaluation))
    if sentences:
      said[study.label(evaluation)] = sentences
  return said


def _is_baseline(method: str) -> bool:
  return method.split('_')[0] in _BASELINES


def _images(study: records.Study, *entries: Entry) -> float:
  return min(s.sample for e in entries for s in study.scores(*e))


def _separated(study: records.Study, a: Entry, b: Entry) -> bool:
  x, y = study.accuracy(*a), study.accuracy(*b)
  return abs(x.mean() - y.mean()) > margin(x, y, _images(study, a, b))


def _versus(study: records.Study, evaluation: str, a: str, b: str) -> str:
  """One sentence on method `a` against method `b`."""
  entries = (a, evaluation), (b, evaluation)
  x, y = (study.accuracy(*e) for e in entries)
  noise = 100 * margin(x, y, _images(study, *entries))
  points = 100 * (x.mean() - y.mean())
  one, other = study.label(a), study.label(b)
  counts = (f'{seeds(len(x))} each' if len(x) == len(y)
           else f'{len(x)} and {len(y)} seeds')
  if math.isinf(noise):
    return (f'{one} is {_gap(points)} {other}; with a single seed on a side there is '
            'no telling whether that is noise.')
  if not _separated(study, *entries):
    return (f'{one} and {other} are not separated: {abs(points):.1f} points apart, '
            f'within the 95 % margin of {noise:.1f} ({counts}).')
  return f'{one} is {_gap(points)} {other} (95 % margin {noise:.1f}; {counts}).'


def _versus_published(study: records.Study, evaluation: str) -> Iterator[str]:
  for p in study.published:
    ours = study.accuracy(p.method, evaluation)
    if p.evaluation == evaluation and len(ours):
      yield (f'{study.label(p.method)} is {_gap(100 * ours.mean() - p.value)} the '
             f'published {p.value:.2f} % ({p.source}; {seeds(len(ours))} here).')


def _gap(points: float) -> str:
  return f'{abs(points):.1f} points {"above" if points >= 0 else "below"}'


def seeds(n: int) -> str:
  """How many, in words."""
  return '1 seed' if n == 1 else f'{n} seeds'
