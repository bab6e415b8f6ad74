"""Margins against SciPy, and what is said of differences."""

import fake_study
import numpy as np
import pytest
from scipy import stats

from ssl_jax.report import compare, read


@pytest.mark.parametrize('n, m', [(3, 3), (2, 5), (5, 5)])
def test_margin_is_welchs_interval_rounded_to_caution(n, m):
  r = np.random.default_rng(n)
  a, b = r.normal(0.9, 0.01, n), r.normal(0.8, 0.02, m)
  exact = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
  half = (exact.high - exact.low) / 2
  u, v = a.var(ddof=1) / n, b.var(ddof=1) / m
  freedom = (u + v)**2 / (u**2 / (n - 1) + v**2 / (m - 1))
  rounded_down = stats.t.ppf(0.975, int(freedom)) * np.sqrt(u + v)
  got = compare.margin(a, b, images=0)
  assert got >= half * 0.999
  np.testing.assert_allclose(got, rounded_down, rtol=5e-3)


def test_margin_of_equal_seeds_is_the_sampling_error_of_the_test_images():
  a, b = np.array([0.9, 0.9]), np.array([0.5, 0.5])
  by_hand = 1.96 * np.sqrt(0.9 * 0.1 / 400 + 0.5 * 0.5 / 400)
  np.testing.assert_allclose(compare.margin(a, b, images=400), by_hand)
  assert compare.margin(a, b, images=0) == 0


def test_one_seed_has_no_margin():
  assert compare.margin(np.array([0.9]), np.array([0.5, 0.6]), 400) == np.inf


def test_best_needs_a_lead_over_every_other_method(tmp_path):
  top1 = {'a': {'linear': [0.90, 0.91, 0.92], 'knn': [0.90, 0.91, 0.92]},
          'b': {'linear': [0.50, 0.51, 0.52], 'knn': [0.89, 0.91, 0.92]},
          'c': {'linear': [0.40, 0.41, 0.42], 'knn': [0.10, 0.11, 0.12]}}
  study = read.study(fake_study.write(tmp_path, top1))
  assert compare.best(study, 'linear') == 'a'
  assert compare.best(study, 'knn') is None


def test_a_single_seed_is_never_best(tmp_path):
  study = read.study(fake_study.write(
      tmp_path, {'a': {'linear': [0.9]}, 'b': {'linear': [0.1, 0.1, 0.1]}}))
  assert compare.best(study, 'linear') is None


def test_findings(tmp_path):
  study = read.study(fake_study.write(tmp_path))
  said = compare.findings(study)
  above, below, published = said['Linear probe']
  assert above.startswith('SimCLR is 21.0 points above random (95 % margin ')
  assert above.endswith('; 3 seeds each).')
  assert below == ('SimCLR is 1.0 points below supervised; with a single seed on a '
                   'side there is no telling whether that is noise.')
  assert published == ('SimCLR is 37.8 points above the published 54.16 % (report D; '
                       '3 seeds here).')
  assert said['kNN'] == [
      'SimCLR and random are not separated: 0.0 points apart, within the 95 % margin '
      f'of {100 * _by_hand_knn():.1f} (3 seeds each).']


def _by_hand_knn() -> float:
  """Variances 1e-4 and 3e-4 over 3 seeds: 2 * 16 / 10 = 3.2 degrees of freedom."""
  seeds = 3.18**2 * (1e-4 / 3 + 3e-4 / 3)
  return np.sqrt(seeds + 1.96**2 * 2 * 0.87 * 0.13 / 300)


def test_a_rehearsal_is_not_compared_with_what_is_published(tmp_path):
  study = read.study(fake_study.write(tmp_path, rehearsal=True))
  assert 'published' not in str(compare.findings(study))
