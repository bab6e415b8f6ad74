"""Which differences between methods are more than noise, and what to say of them.

Two sources of noise: seeds (Welch's t interval) and the finite test split
(binomial, the methods taken as independent although they share its images,
which errs towards caution).
"""

import math
from collections.abc import Iterator

import numpy as np

from ssl_jax.report import read

RULE = ('Bold: the best mean of its column where it leads every other method by '
        'more than the 95 % margin of their difference (Welch\'s t over seeds, '
        'with the sampling error of the test images); never with a single seed.')

# Two-sided 95 % quantiles of Student's t for 1 to 9 degrees of freedom, and 10+.
_T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


def margin(a: np.ndarray, b: np.ndarray, images: int) -> float:
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


def best(study: read.Study, evaluation: str) -> str | None:
  """The method to print in bold under `evaluation` by `RULE`, if there is one."""
  there = [m for m in study.methods if len(study.top1(m, evaluation))]
  if len(there) < 2:
    return None
  top = max(there, key=lambda m: study.top1(m, evaluation).mean())
  ahead = all(_separated(study, evaluation, top, m) for m in there if m != top)
  return top if ahead else None


def findings(study: read.Study) -> dict[str, list[str]]:
  """Sentences computed from the numbers, by the label of the evaluation.

  On the study's first evaluation every method is set against `random` and
  `supervised`, where the study has them, and the best two against each other; on
  later ones only the best method is. Published figures follow, unless this is a
  rehearsal, which nothing published can be compared with.
  """
  said = {}
  for i, evaluation in enumerate(study.evaluations):
    learned = [m for m in study.methods if m not in ('random', 'supervised')
               and len(study.top1(m, evaluation))]
    learned.sort(key=lambda m: -study.top1(m, evaluation).mean())
    sentences = [_versus(study, evaluation, *learned[:2])] if len(learned) > 1 else []
    for method in learned if i == 0 else learned[:1]:
      sentences.extend(_versus(study, evaluation, method, baseline)
                       for baseline in ('random', 'supervised')
                       if len(study.top1(baseline, evaluation)))
    if not study.rehearsal:
      sentences.extend(_versus_published(study, evaluation))
    if sentences:
      said[study.label(evaluation)] = sentences
  return said


def _images(study: read.Study, evaluation: str, *methods: str) -> int:
  return min(s.images for m in methods for s in study.scores(m, evaluation))


def _separated(study: read.Study, evaluation: str, a: str, b: str) -> bool:
  x, y = study.top1(a, evaluation), study.top1(b, evaluation)
  return abs(x.mean() - y.mean()) > margin(x, y, _images(study, evaluation, a, b))


def _versus(study: read.Study, evaluation: str, a: str, b: str) -> str:
  """One sentence on method `a` against method `b`."""
  x, y = study.top1(a, evaluation), study.top1(b, evaluation)
  noise = 100 * margin(x, y, _images(study, evaluation, a, b))
  points = 100 * (x.mean() - y.mean())
  one, other = study.label(a), study.label(b)
  seeds = (f'{_seeds(len(x))} each' if len(x) == len(y)
           else f'{len(x)} and {len(y)} seeds')
  if math.isinf(noise):
    return (f'{one} is {_gap(points)} {other}; with a single seed on a side there is '
            'no telling whether that is noise.')
  if not _separated(study, evaluation, a, b):
    return (f'{one} and {other} are not separated: {abs(points):.1f} points apart, '
            f'within the 95 % margin of {noise:.1f} ({seeds}).')
  return f'{one} is {_gap(points)} {other} (95 % margin {noise:.1f}; {seeds}).'


def _versus_published(study: read.Study, evaluation: str) -> Iterator[str]:
  for p in study.published:
    ours = study.top1(p.method, evaluation)
    if p.evaluation == evaluation and len(ours):
      yield (f'{study.label(p.method)} is {_gap(100 * ours.mean() - p.value)} the '
             f'published {p.value:.2f} % ({p.source}; {_seeds(len(ours))} here).')


def _gap(points: float) -> str:
  return f'{abs(points):.1f} points {"above" if points >= 0 else "below"}'


def _seeds(n: int) -> str:
  return '1 seed' if n == 1 else f'{n} seeds'
