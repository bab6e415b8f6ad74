"""Tests logistic regression on a random split of all images against scikit-learn."""

import numpy as np
import pytest
from sklearn import linear_model

from ssl_jax import errors
from ssl_jax.evaluators import features, logistic_random_split


def split(n, seed):
  rng = np.random.default_rng(seed)
  y = rng.integers(3, size=n)
  x = np.eye(3, 5)[y] + 0.6 * rng.normal(size=(n, 5))
  return features.Features(x.astype(np.float32), y.astype(np.int32))


SPLITS = split(60, 0), split(20, 1), split(40, 2)


def test_fits_and_scores_the_two_parts_of_all_splits():
  evaluator = logistic_random_split.LogisticRandomSplit(
      test_fraction=0.25, l2=2., seed=3)
  result = evaluator(*SPLITS, 3)
  x = np.concatenate([s.features for s in SPLITS])
  y = np.concatenate([s.labels for s in SPLITS])
  rows = np.random.default_rng(3).permutation(120)
  test, train = rows[:30], rows[30:]
  theirs = linear_model.LogisticRegression(C=1 / 2, tol=1e-8).fit(x[train], y[train])
  assert (result['train']['n'], result['test']['n']) == (90, 30)
  assert result['train']['top1'] == pytest.approx(theirs.score(x[train], y[train]))
  assert result['test']['top1'] == pytest.approx(theirs.score(x[test], y[test]))
  assert result['validation'] is None
  assert '120 representations of all splits, 30' in result['protocol']
  assert result['protocol'].endswith('l2 2') and result['chosen'] == {}


def test_without_a_validation_split_and_with_another_seed():
  train, _, test = SPLITS
  one, other = (logistic_random_split.LogisticRandomSplit(seed=s)(train, None, test, 3)
                for s in (0, 1))
  assert one['train']['n'] == 75
  assert one['test']['confusion'] != other['test']['confusion']


@pytest.mark.parametrize('fields, match', [
    ({'test_fraction': 1.}, 'test_fraction is 1.0'), ({'l2': 0.}, 'above 0')])
def test_values_that_are_not_accepted(fields, match):
  with pytest.raises(errors.UserError, match=match):
    logistic_random_split.LogisticRandomSplit(**fields)
