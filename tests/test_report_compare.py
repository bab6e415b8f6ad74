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
  assert compare.best(study, [(m, 'linear') for m in 'abc']) == ('a', 'linear')
  assert compare.best(study, [(m, 'knn') for m in 'abc']) is None


def test_a_single_seed_is_never_best(tmp_path):
  study = read.study(fake_study.write(
      tmp_path, {'a': {'linear': [0.9]}, 'b': {'linear': [0.1, 0.1, 0.1]}}))
  assert compare.best(study, [(m, 'linear') for m in 'ab']) is None


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


def test_all_are_compared_on_what_most_methods_are_to_have(tmp_path):
  """Rotations come first but are asked of two; only kNN is asked of all."""
  both = {'rotation': [0.8, 0.8], 'knn': [0.5, 0.5]}
  study = read.study(fake_study.write(
      tmp_path, {'a': both, 'b': {'rotation': [0.6, 0.6], 'knn': [0.4, 0.4]},
                 'supervised_small': {'knn': [0.9, 0.9]}},
      evaluations=['rotation', 'knn'], wanted={'rotation': ['a', 'b']}, published=[]))
  said = compare.findings(study)
  assert [s.split(' (')[0] for s in said['Rotations told apart']] == [
      'a is 20.0 points above b']
  assert [s.split(' (')[0] for s in said['kNN']] == [
      'a is 10.0 points above b', 'a is 40.0 points below supervised small',
      'b is 50.0 points below supervised small']


def test_of_many_methods_only_the_best_is_set_against_the_baselines(tmp_path):
  top1 = {f'm{i}': {'knn': [i / 10, i / 10]} for i in range(8)}
  study = read.study(fake_study.write(
      tmp_path, top1 | {'random': {'knn': [0.0, 0.0]}}, published=[]))
  assert [s.split(' (')[0] for s in compare.findings(study)['kNN']] == [
      'm7 is 10.0 points above m6', 'm7 is 70.0 points above random']


def test_a_rehearsal_is_not_compared_with_what_is_published(tmp_path):
  study = read.study(fake_study.write(tmp_path, rehearsal='Only a try.'))
  assert 'published' not in str(compare.findings(study))
