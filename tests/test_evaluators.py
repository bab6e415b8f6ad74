"""Tests properties of every evaluator: its interface, and that labels do not leak."""

import json

import numpy as np
import pytest

from ssl_jax import config, evaluators
from ssl_jax.evaluators import features

SMALL = {
    'knn': {'k': 10},
    'nn1': {},
    'linear': {'learning_rates': [0.01, 0.1], 'weight_decays': [0., 0.01],
               'min_steps': 50, 'batch_size': 64},
    'logistic': {'l2': [0.1, 10., 1000.]},
}


def build(name):
  return config.build(evaluators.EVALUATORS[name], SMALL[name], f'evaluations.{name}')


def splits(classes=5, dim=8, shuffle=False):
  """Returns three samples of a learnable problem, or the same with permuted labels."""
  rng = np.random.default_rng(0)
  teacher = rng.normal(size=(dim, classes))
  for n in (400, 200, 1000):
    x = rng.normal(size=(n, dim)).astype(np.float32)
    y = (x @ teacher).argmax(1).astype(np.int32)
    yield features.Features(x, rng.permutation(y) if shuffle else y)


def test_every_evaluator_is_tested_here():
  # Evaluators of the network's own scores are tested in test_evaluators_rotation.py,
  # the one that splits again in test_evaluators_logistic_random_split.py.
  others = {'own_head', 'rotation', 'logistic_random_split'}
  assert SMALL.keys() | others == evaluators.EVALUATORS.keys()


@pytest.mark.parametrize('name', SMALL)
def test_learns_repeats_and_writes_json(name):
  train, validation, test = splits()
  result = build(name)(train, validation, test, 5)
  assert result['test']['top1'] > 0.55
  assert [result[s]['n'] for s in ('train', 'validation', 'test')] == [400, 200, 1000]
  assert json.loads(json.dumps(result)) == result
  assert isinstance(result['protocol'], str)
  assert build(name)(train, validation, test, 5) == result


@pytest.mark.parametrize('name', SMALL)
def test_permuted_labels_give_chance(name):
  train, validation, test = splits(shuffle=True)
  result = build(name)(train, validation, test, 5)
  frequency = np.bincount(test.labels) / len(test.labels)
  predicted = np.sum(result['test']['confusion'], 0) / len(test.labels)
  chance = frequency @ predicted
  # Four standard deviations of 1000 independent guesses.
  assert abs(result['test']['top1'] - chance) < 4 * np.sqrt(chance / 1000)
  if name in ('knn', 'nn1'):
    # If an image could vote for itself, it would always be correct.
    assert result['train']['top1'] < 0.35


@pytest.mark.parametrize('name', SMALL)
def test_unlabelled_images_change_nothing(name):
  train, validation, test = splits()
  padded = [features.Features(
      np.concatenate([s.features, np.full((3, 8), 50, np.float32)]),
      np.append(s.labels, [-1] * 3).astype(np.int32))
      for s in (train, validation, test)]
  assert build(name)(*padded, 5) == build(name)(train, validation, test, 5)


@pytest.mark.parametrize('name', SMALL)
def test_a_class_without_images_keeps_its_place(name):
  train, validation, test = splits()
  result = build(name)(train, validation, test, 7)
  assert result['test']['per_class'][5:] == [None, None]
  assert np.shape(result['test']['confusion']) == (7, 7)
