"""Tests the linear probe against NumPy by hand, and what its choice depends on."""

import dataclasses

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.evaluators import features, linear

PROBE = linear.Linear(learning_rates=(0.01, 0.1, 0.5), weight_decays=(0., 0.05),
                      epochs=3, min_steps=12, batch_size=16)


def split(n, seed, classes=3, dim=5):
  """Returns points whose class is a linear function, which a linear head can learn."""
  x = np.random.default_rng(seed).normal(size=(n, dim))
  teacher = np.random.default_rng(99).normal(size=(dim, classes))
  scale = np.logspace(0, 1, dim)
  return features.Features((x * scale + 3).astype(np.float32),
                           (x @ teacher).argmax(1).astype(np.int32))


TRAIN, VALIDATION, TEST = split(60, 0), split(40, 1), split(50, 2)


def sgd_by_hand(train, rate, decay, probe, classes=3):
  """Trains one head by Nesterov SGD with cosine decay, in float64, row by row."""
  x, y = train.features.astype(np.float64), train.labels
  mean, std = x.mean(0), x.std(0)
  x = (x - mean) / std
  kernel, bias = np.zeros((x.shape[1], classes)), np.zeros(classes)
  velocity = [np.zeros_like(kernel), np.zeros_like(bias)]
  order = probe.order(len(y)).reshape(-1, min(probe.batch_size, len(y)))
  for step, rows in enumerate(order):
    gradient = [decay * kernel, np.zeros_like(bias)]
    for i in rows:
      p = np.exp(x[i] @ kernel + bias)
      error = (p / p.sum() - np.eye(classes)[y[i]]) / len(rows)
      gradient = [gradient[0] + np.outer(x[i], error), gradient[1] + error]
    lr = rate * (1 + np.cos(np.pi * step / len(order))) / 2
    velocity = [0.9 * v + g for v, g in zip(velocity, gradient, strict=True)]
    update = [g + 0.9 * v for v, g in zip(velocity, gradient, strict=True)]
    kernel, bias = kernel - lr * update[0], bias - lr * update[1]
  return (TEST.features - mean) / std @ kernel + bias


def test_every_head_of_the_grid_is_sgd_by_hand():
  for (rate, decay), head in zip(
      PROBE.grid, PROBE.fit(TRAIN, 3, PROBE.grid), strict=True):
    np.testing.assert_allclose(
        head(TEST.features), sgd_by_hand(TRAIN, rate, decay, PROBE),
        rtol=1e-3, atol=1e-3)


def test_a_head_does_not_depend_on_the_rest_of_the_grid():
  together = PROBE.fit(TRAIN, 3, PROBE.grid)
  for setting, head in zip(PROBE.grid, together, strict=True):
    alone, = PROBE.fit(TRAIN, 3, [setting])
    np.testing.assert_allclose(head.kernel, alone.kernel, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.bias, alone.bias, rtol=1e-4, atol=1e-5)


def test_order_visits_every_row_once_per_epoch():
  probe = linear.Linear(epochs=4, min_steps=1, batch_size=7)
  order = probe.order(30).ravel()
  for epoch in range(4):
    assert sorted(order[epoch * 30:(epoch + 1) * 30]) == list(range(30))
  assert (order[:30] != order[30:60]).any()


def test_few_labels_still_get_the_minimum_of_steps():
  blocks, steps, batch = linear.Linear(min_steps=2500).order(10).shape
  assert blocks * steps >= 2500
  assert batch == 10


def test_standardised_probe_ignores_scale_and_shift():
  scale = np.float32([1, 8, 64, 0.5, 0.125])
  moved = [features.Features(s.features * scale + 16, s.labels)
           for s in (TRAIN, VALIDATION, TEST)]
  got, want = PROBE(*moved, 3), PROBE(TRAIN, VALIDATION, TEST, 3)
  assert got == want
  raw = dataclasses.replace(PROBE, standardise=False)
  assert raw(*moved, 3) != raw(TRAIN, VALIDATION, TEST, 3)


def test_statistics_come_from_train_alone():
  probe = dataclasses.replace(PROBE, learning_rates=(0.1,), weight_decays=(0.,))
  far = features.Features(TEST.features + 1000, TEST.labels)
  assert probe(TRAIN, None, far, 3)['test'] != probe(TRAIN, None, TEST, 3)['test']


def test_learns_and_reports_the_grid():
  result = PROBE(TRAIN, VALIDATION, TEST, 3)
  assert result['test']['top1'] > 0.8
  accuracy = [cell['validation_top1'] for cell in result['grid']]
  assert len(accuracy) == 6
  assert result['validation']['top1'] == pytest.approx(max(accuracy))
  assert result == PROBE(TRAIN, VALIDATION, TEST, 3)


def test_test_labels_do_not_influence_the_choice():
  wrong = features.Features(TEST.features, (TEST.labels + 1) % 3)
  a, b = PROBE(TRAIN, VALIDATION, TEST, 3), PROBE(TRAIN, VALIDATION, wrong, 3)
  assert a['chosen'] == b['chosen']
  assert b['test']['top1'] < 0.2


def test_of_equals_the_lowest_learning_rate_is_chosen():
  # With one class, every head is always correct.
  same = features.Features(TRAIN.features, np.zeros_like(TRAIN.labels))
  probe = dataclasses.replace(PROBE, learning_rates=(0.5, 0.01),
                              weight_decays=(0.05, 0.))
  assert probe(same, same, same, 3)['chosen'] == {
      'learning_rate': 0.01, 'weight_decay': 0.}


def test_refit_trains_on_both_splits_for_the_test_score_alone():
  probe = dataclasses.replace(PROBE, learning_rates=(0.1,), weight_decays=(0.,))
  plain = probe(TRAIN, VALIDATION, TEST, 3)
  refitted = dataclasses.replace(probe, refit=True)(TRAIN, VALIDATION, TEST, 3)
  both = features.concatenate(TRAIN, VALIDATION)
  assert refitted['test'] == probe(both, None, TEST, 3)['test']
  assert refitted['test'] != plain['test']
  assert refitted['validation'] == plain['validation']


def test_a_diverged_head_is_not_chosen():
  probe = dataclasses.replace(PROBE, learning_rates=(0.1, 1e20),
                              weight_decays=(0.05,))
  result = probe(TRAIN, VALIDATION, TEST, 3)
  assert result['chosen']['learning_rate'] == 0.1
  assert result['grid'][1]['validation_top1'] == 0.


def test_mistakes_are_named():
  with pytest.raises(errors.UserError, match='6 settings.*no validation split'):
    PROBE(TRAIN, None, TEST, 3)
  with pytest.raises(errors.UserError, match='learning_rates.*above 0'):
    linear.Linear(learning_rates=(0.,))
  with pytest.raises(errors.UserError, match='weight_decays.*from 0'):
    linear.Linear(weight_decays=(-1.,))
  with pytest.raises(errors.UserError, match='config.protocol.epochs is 0'):
    linear.Linear(epochs=0)
