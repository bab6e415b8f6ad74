"""Tests the choice among settings, and warnings of choices at the end of a range."""

import itertools

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.evaluators import features, linear, logistic, selection

RATES, DECAYS = (0.1, 0.01, 1.), (1e-3, 0., 1e-2)
CELLS = [{'rate': r, 'decay': d, 'top1': 0.5}
         for r, d in itertools.product(RATES, DECAYS)]


def points(*firsts, labels):
  """Returns images with two features; the second is 0."""
  return features.Features(np.float32([[x, 0] for x in firsts]), np.int32(labels))


@pytest.mark.parametrize('values, index', [
    ([0.2, 0.9, 0.9], 1), ([None, 0., None], 1), ([None, None], 0), ([None], 0)])
def test_the_first_of_the_highest_values_is_best(values, index):
  assert selection.best(values) == index


def test_a_head_that_diverged_scores_nothing():
  split = points(1, -1, labels=[0, 1])
  assert selection.score_of(lambda x: x, split, 'top1') == 1.
  assert selection.score_of(lambda x: x + np.inf, split, 'top1') == 0.


@pytest.mark.parametrize('refit', [False, True])
def test_the_best_on_validation_is_tested_or_fitted_again(refit):
  """A fit adds `shift` per 2 images to the score of class 0."""
  fitted = []

  def fit(data, settings):
    images = len(data.labels)
    fitted.append((images, [one['shift'] for one in settings]))
    shifts = [np.float32([one['shift'] * images / 2, 0]) for one in settings]
    return [selection.Fitted(lambda x, by=by: x + by, {'images': images})
            for by in shifts]

  both = points(-3, -9, labels=[0, 1])  # right for shifts from 3 to 9
  result = selection.search(
      'probe', 'a probe', [{'shift': s} for s in (0., 4., 5.)], fit, train=both,
      validation=both, test=points(-6, labels=[0]), score='top1', refit=refit)
  assert result['grid'] == [
      {'shift': s, 'validation_top1': v, 'images': 2}
      for s, v in ((0., 0.5), (4., 1.), (5., 1.))]
  assert result['chosen'] == {'shift': 4.} and result['score'] == 'top1'
  assert fitted == [(2, [0., 4., 5.])] + [(4, [4.])] * refit
  assert result['validation']['top1'] == 1. and result['test']['top1'] == refit
  assert result['protocol'] == 'a probe, chosen on validation' + (
      ', refitted on train + validation' if refit else '')


@pytest.mark.parametrize('count, refit', [(2, False), (1, True)])
def test_nothing_is_chosen_on_test_images(count, refit):
  split = points(1, labels=[0])
  with pytest.raises(errors.UserError, match='no validation split.*refit=False'):
    selection.search('probe', 'a probe', [{'l2': 1.}] * count, None, train=split,
                     validation=None, test=split, score='top1', refit=refit)


@pytest.mark.parametrize('rate, decay, names', [
    (0.1, 1e-3, []), (0.01, 1e-3, ['rate']), (1., 1e-2, ['rate', 'decay']),
    (0.1, 0., [])])  # no value is below 0
def test_ends_of_a_range(rate, decay, names, monkeypatch):
  warned = []
  monkeypatch.setattr(selection.logging, 'warning',
                      lambda *args: warned.append(args[2]))
  assert selection.at_edge('probe', {'rate': rate, 'decay': decay}, CELLS) == names
  assert warned == names


def test_two_values_have_no_inside():
  assert selection.at_edge('probe', {'l2': 1.}, [{'l2': 1.}, {'l2': 2.}]) == []


def test_evaluators_say_so_in_their_result():
  split = features.Features(*(a.astype(t) for a, t in zip(
      _two_clouds(), ('float32', 'int32'), strict=True)))
  probe = linear.Linear(learning_rates=(1e-3, 1e-2, 1e-1), weight_decays=(0.,),
                        epochs=1, min_steps=5)
  # All heads are correct, so the lowest rate and the strongest penalty are chosen.
  assert probe(split, split, split, 2)['at_edge'] == ['learning_rate']
  regression = logistic.Logistic(l2=(1e-3, 1e-2, 1e-1))
  assert regression(split, split, split, 2)['at_edge'] == ['l2']


def _two_clouds():
  labels = np.arange(40) % 2
  noise = np.random.default_rng(0).normal(size=(40, 2))
  return 10. * labels[:, None] + noise, labels
