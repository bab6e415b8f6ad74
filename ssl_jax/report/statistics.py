"""Decides which differences between methods are larger than noise.

Margins include two sources of noise: the seeds (Welch's t interval) and the finite test
split (binomial). Methods are treated as independent although they share test images,
so margins are too wide rather than too narrow.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from ssl_jax.report.study import MethodEvaluation, Study

# Two-sided 95 % quantiles of Student's t for 1 to 9 degrees of freedom, and 10+.
_T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


def standard_deviation(values: np.ndarray) -> np.ndarray:
  """Returns the sample standard deviation over axis 0; 0 for fewer than two values."""
  values = np.asarray(values)
  if len(values) < 2:
    return np.zeros(values.shape[1:])
  return values.std(axis=0, ddof=1)


def error_bars(percent: np.ndarray) -> np.ndarray:
  """Returns the lengths of error bars of one standard deviation around the mean.

  Args:
    percent: accuracies in percent [n, ...], one row per seed.

  Returns:
    [2, ...], down and up, shortened so that no bar leaves the range 0 to 100 %.
  """
  mean, sd = np.mean(percent, axis=0), standard_deviation(percent)
  return np.stack([np.minimum(sd, mean), np.minimum(sd, 100 - mean)])


def bars_in_words(percents: Iterable[np.ndarray]) -> str:
  """Returns the end of a caption that explains error bars; '' without error bars.

  Args:
    percents: the accuracies in percent [n, ...] of everything in the figure.
  """
  percents = list(percents)
  if not any(np.any(standard_deviation(p) > 0) for p in percents):
    return ''
  cut = any(np.any(error_bars(p) < standard_deviation(p)) for p in percents)
  return (', with bars of one sample standard deviation'
          + ', cut off at 0 and 100 %' * cut)


def margin(a: np.ndarray, b: np.ndarray, images: float) -> float:
  """Returns the half-width of the 95 % interval of mean(a) - mean(b), a fraction.

  Args:
    a: test accuracies of one method, fractions, one per seed [n].
    b: test accuracies of another method, fractions [m].
    images: number of test images that both were measured on; 0 if unknown.

  Returns:
    The half-width; infinite if either method has fewer than two seeds.
  """
  if min(len(a), len(b)) < 2:
    return math.inf
  u, v = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
  p, q = a.mean(), b.mean()
  sampling = (p * (1 - p) + q * (1 - q)) / images if images else 0.0
  return math.sqrt(_t95(u, len(a), v, len(b))**2 * (u + v) + 1.96**2 * sampling)


def _t95(u: float, n: int, v: float, m: int) -> float:
  """Returns Student's t at the degrees of freedom of Welch and Satterthwaite."""
  if u + v == 0:
    return 0.0
  freedom = (u + v)**2 / (u**2 / (n - 1) + v**2 / (m - 1))
  return _T95[min(int(freedom), len(_T95)) - 1]


def margin_between(study: Study, a: MethodEvaluation, b: MethodEvaluation) -> float:
  """Returns `margin` for two evaluations, both of which must have results.

  Args:
    study: the study.
    a: one method and its evaluation.
    b: another method and its evaluation.
  """
  images = min(r.effective_sample_size for e in (a, b) for r in study.results(*e))
  return margin(study.accuracy(*a), study.accuracy(*b), images)


def separated(study: Study, a: MethodEvaluation, b: MethodEvaluation) -> bool:
  """Returns whether two means differ by more than their margin.

  Args:
    study: the study.
    a: one method and its evaluation.
    b: another method and its evaluation.
  """
  difference = study.accuracy(*a).mean() - study.accuracy(*b).mean()
  return abs(difference) > margin_between(study, a, b)


def best(study: Study, competitors: Sequence[MethodEvaluation]
         ) -> MethodEvaluation | None:
  """Returns the competitor whose mean is the highest, or None.

  It is also None if a difference to another competitor is within its margin, or if
  fewer than two competitors have results.

  Args:
    study: the study.
    competitors: methods and their evaluations.
  """
  present = [e for e in competitors if len(study.accuracy(*e))]
  if len(present) < 2:
    return None
  top = max(present, key=lambda e: study.accuracy(*e).mean())
  return top if all(separated(study, top, e) for e in present if e != top) else None


def bold_rule(scope: str, any_bold: bool) -> str:
  """Returns the note that explains bold numbers, or why no number is bold.

  Args:
    scope: what competitors share, such as 'column'.
    any_bold: whether any number is bold.
  """
  if not any_bold:
    return (f'No mean is bold: none leads its {scope} by more than the 95 % margin, '
            'or the number of seeds is too small.')
  return (f'Bold: this mean leads every other mean of its {scope} by more than the '
          '95 % margin of their difference (Welch\'s t over seeds, with the sampling '
          'error of the test images). A result of a single seed is never bold.')
