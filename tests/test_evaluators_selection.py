"""Which of the chosen settings lie at the end of their range."""

import itertools

import numpy as np
import pytest

from ssl_jax.evaluators import features, linear, logistic, selection

RATES, DECAYS = (0.1, 0.01, 1.), (1e-3, 0., 1e-2)
CELLS = [{'rate': r, 'decay': d, 'top1': 0.5}
         for r, d in itertools.product(RATES, DECAYS)]


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
