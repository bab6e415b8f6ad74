"""Tests margins against SciPy, and error bars and the bold rule by hand."""

import json

import fake_study
import numpy as np
import pytest
from scipy import stats

from ssl_jax.report import read, statistics


@pytest.mark.parametrize('n, m', [(3, 3), (2, 5), (5, 5)])
def test_margin_is_welchs_interval_rounded_up(n, m):
  r = np.random.default_rng(n)
  a, b = r.normal(0.9, 0.01, n), r.normal(0.8, 0.02, m)
  exact = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
  half = (exact.high - exact.low) / 2
  u, v = a.var(ddof=1) / n, b.var(ddof=1) / m
  freedom = (u + v)**2 / (u**2 / (n - 1) + v**2 / (m - 1))
  rounded_down = stats.t.ppf(0.975, int(freedom)) * np.sqrt(u + v)
  got = statistics.margin(a, b, images=0)
  assert got >= half * 0.999
  np.testing.assert_allclose(got, rounded_down, rtol=5e-3)


def test_margin_of_equal_seeds_is_the_sampling_error_of_the_test_images():
  a, b = np.array([0.9, 0.9]), np.array([0.5, 0.5])
  by_hand = 1.96 * np.sqrt(0.9 * 0.1 / 400 + 0.5 * 0.5 / 400)
  np.testing.assert_allclose(statistics.margin(a, b, images=400), by_hand)
  assert statistics.margin(a, b, images=0) == 0


def test_one_seed_has_no_margin():
  assert statistics.margin(np.array([0.9]), np.array([0.5, 0.6]), 400) == np.inf


def test_best_needs_a_lead_over_every_other_method(tmp_path):
  top1 = {'a': {'linear': [0.90, 0.91, 0.92], 'knn': [0.90, 0.91, 0.92]},
          'b': {'linear': [0.50, 0.51, 0.52], 'knn': [0.89, 0.91, 0.92]},
          'c': {'linear': [0.40, 0.41, 0.42], 'knn': [0.10, 0.11, 0.12]}}
  study = read.study(fake_study.write(tmp_path, top1))
  assert statistics.best(study, [(m, 'linear') for m in 'abc']) == ('a', 'linear')
  assert statistics.best(study, [(m, 'knn') for m in 'abc']) is None


def test_a_single_seed_is_never_best(tmp_path):
  study = read.study(fake_study.write(
      tmp_path, {'a': {'linear': [0.9]}, 'b': {'linear': [0.1, 0.1, 0.1]}}))
  assert statistics.best(study, [(m, 'linear') for m in 'ab']) is None


def test_error_bars_stay_within_0_and_100_percent():
  percent = np.array([[94.0, 50.0, 1.0], [100.0, 52.0, 5.0], [100.0, 54.0, 0.0]])
  mean, sd = percent.mean(axis=0), percent.std(axis=0, ddof=1)
  down, up = statistics.error_bars(percent)
  np.testing.assert_allclose(down, [sd[0], 2, mean[2]])
  np.testing.assert_allclose(up, [100 - mean[0], 2, sd[2]])
  assert mean[0] + sd[0] > 100 and mean[2] - sd[2] < 0


def test_one_seed_has_no_error_bar():
  np.testing.assert_array_equal(statistics.error_bars(np.array([[90.0, 95.0]])), 0)


@pytest.mark.parametrize('percents, words', [
    ([[90.0]], ''), ([[90.0, 90.0]], ''),
    ([[90.0], [50.0, 52.0]], ', with bars of one sample standard deviation'),
    ([[50.0, 52.0], [94.0, 100.0, 100.0]],
     ', with bars of one sample standard deviation, cut off at 0 and 100 %')])
def test_captions_explain_bars_if_there_are_any(percents, words):
  assert statistics.bars_in_words(map(np.array, percents)) == words


def test_a_mean_over_classes_is_as_uncertain_as_its_smallest_classes(tmp_path):
  study = read.study(fake_study.write(
      tmp_path, {'a': {'linear': [0.9, 0.9]}, 'b': {'linear': [0.5, 0.5]}}))
  entries = ('a', 'linear'), ('b', 'linear')
  by_hand = 1.96 * np.sqrt((0.9 * 0.1 + 0.5 * 0.5) / 300)
  assert statistics.margin_between(study, *entries) == pytest.approx(by_hand)
  for seed in (0, 1):
    path = tmp_path / f'a/seed{seed}/linear/result.json'
    record = json.loads(path.read_text())
    record['result'] |= {'score': 'mean_per_class'}
    record['result']['test']['confusion'] = [[8, 2, 0], [50, 50, 0], [0, 0, 40]]
    fake_study.write_json(path, record)
  # The variance of the mean of three class accuracies, as if of one sample.
  size = 3**2 / (1 / 10 + 1 / 100 + 1 / 40)
  by_hand = 1.96 * np.sqrt((0.9 * 0.1 + 0.5 * 0.5) / size)
  margin = statistics.margin_between(read.study(tmp_path), *entries)
  assert margin == pytest.approx(by_hand)
