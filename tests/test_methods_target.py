"""Tests the functions on a target network by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.methods import base, target


def tree(value):
  return {name: {'w': jnp.full(2, value)} for name in ('encoder', 'predictor')}


def test_copy_leaves_the_predictor_out_and_shares_no_memory():
  variables = base.Variables(tree(1.), tree(2.))
  copy = target.copy_of(variables)
  assert {name: set(part) for name, part in copy.items()} == {
      'params': {'encoder'}, 'batch_stats': {'encoder'}}
  jax.tree.leaves(variables.params)[0].delete()
  np.testing.assert_array_equal(copy['params']['encoder']['w'], 1)


def test_moved_is_the_weighted_mean_of_the_parameters_only():
  start = {'params': {'encoder': {'w': jnp.full(2, 4.)}},
           'batch_stats': {'encoder': {'w': jnp.full(2, 7.)}}}
  got = target.moved(start, tree(0.), 0.75)
  np.testing.assert_allclose(got['params']['encoder']['w'], 3)
  assert got['batch_stats'] is start['batch_stats']
  assert set(got['params']) == {'encoder'}


@pytest.mark.parametrize('progress, decay', [(0., 0.96), (0.5, 0.98), (1., 1.)])
def test_rising_decay(progress, decay):
  np.testing.assert_allclose(target.rising(0.96, jnp.float32(progress)), decay,
                             rtol=1e-6)
