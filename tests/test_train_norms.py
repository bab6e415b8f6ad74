"""Tests the norms of many arrays against NumPy and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssl_jax.train import norms

SHAPES = [(3, 3, 4, 300), (300,), (), (1, 5), (0, 4), (1000, 2), (7,)]


def arrays(seed, dtype=jnp.float32):
  rng = np.random.default_rng(seed)
  return [jnp.asarray(rng.normal(1, 3, shape), dtype) for shape in SHAPES]


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_sums_of_squares_by_numpy(dtype):
  xs = arrays(0, dtype)
  expected = [np.square(np.asarray(x, np.float64)).sum() for x in xs]
  got = jax.jit(norms.sums_of_squares)(xs)
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, expected, rtol=2e-6)


def test_global_norm_of_a_tree():
  tree = {'a': arrays(1), 'b': {'c': jnp.full((2, 2), 3.)}}
  expected = np.sqrt(sum(np.square(np.asarray(x, np.float64)).sum()
                         for x in jax.tree.leaves(tree)))
  np.testing.assert_allclose(norms.global_norm(tree), expected, rtol=1e-6)


def test_trust_ratio_is_that_of_optax():
  params, updates = arrays(2), arrays(3)
  params[3], updates[5] = jnp.zeros_like(params[3]), jnp.zeros_like(updates[5])
  ours, theirs = (tx(trust_coefficient=0.01) for tx in (
      norms.scale_by_trust_ratio, optax.scale_by_trust_ratio))
  assert ours.init(params) == theirs.init(params)
  got, state = jax.jit(ours.update)(updates, ours.init(params), params)
  expected, _ = theirs.update(updates, theirs.init(params), params)
  assert state == theirs.init(params)
  for a, b in zip(got, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-6)


def test_nothing_to_scale():
  tx = norms.scale_by_trust_ratio(0.001)
  assert tx.update({}, tx.init({}), {})[0] == {}
