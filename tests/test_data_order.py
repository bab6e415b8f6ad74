"""Tests that orders are complete, reproducible, and functions of seed and step."""

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import order


def test_an_epoch_visits_each_example_once_and_drops_the_tail():
  plan = order.Shuffled(num_examples=23, batch_size=5, seed=3)
  assert plan.steps_per_epoch == 4
  for epoch in range(3):
    seen = np.concatenate([plan.indices(4 * epoch + i) for i in range(4)])
    assert len(set(seen.tolist())) == 20 and seen.min() >= 0 and seen.max() < 23


def test_seeds_and_epochs_give_different_orders_and_the_same_ones_again():
  draws = {(s, e): tuple(order.epoch_permutation(50, s, e))
           for s in range(3) for e in range(3)}
  assert len(set(draws.values())) == 9
  for epoch in range(100, 120):  # a few orders are kept: these displace all of them
    order.epoch_permutation(50, 0, epoch)
  assert tuple(order.epoch_permutation(50, 1, 2)) == draws[1, 2]
  assert tuple(order.subset_permutation(50, 1, 2)) != draws[1, 2]


def test_the_stream_is_pinned():
  # A checkpoint from last year resumes on the same images: never change this.
  np.testing.assert_array_equal(
      order.epoch_permutation(8, 0, 0), [0, 3, 7, 5, 1, 2, 6, 4])


def test_positions_are_uniform():
  first = np.array([order.epoch_permutation(8, 0, e)[0] for e in range(4000)])
  counts = np.bincount(first, minlength=8)
  chi2 = ((counts - 500) ** 2 / 500).sum()
  assert chi2 < 24.3  # 99.9 % quantile for 7 degrees of freedom


def test_sequential_pads_the_last_batch():
  plan = order.Sequential(num_examples=7, batch_size=4)
  assert len(plan) == 2
  np.testing.assert_array_equal(plan.indices(0), [0, 1, 2, 3])
  np.testing.assert_array_equal(plan.indices(1), [4, 5, 6, -1])


@pytest.mark.parametrize('batch_size', [0, 11])
def test_impossible_batch_size(batch_size):
  with pytest.raises(errors.UserError, match=f'batch_size is {batch_size}'):
    order.Shuffled(10, batch_size, 0)


def test_negative_seed():
  with pytest.raises(errors.UserError, match='seed is -1'):
    order.Shuffled(10, 2, -1).indices(0)
