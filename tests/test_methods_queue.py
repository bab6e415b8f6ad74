"""Tests the queue of embeddings by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.methods import queue


def test_new_rows_come_first_and_the_oldest_leave():
  old = queue.start(jax.random.key(0), 5, 3)
  np.testing.assert_allclose(jnp.square(old).sum(1), 1, rtol=1e-5)
  new = jnp.array([[3., 0., 4.], [0., 2., 0.]], jnp.bfloat16)
  got = queue.push(old, new)
  assert got.dtype == jnp.float32 and got.shape == (5, 3)
  np.testing.assert_allclose(got[:2], [[0.6, 0, 0.8], [0, 1, 0]], rtol=1e-6)
  np.testing.assert_array_equal(got[2:], old[:3])
  assert not jax.grad(lambda x: queue.push(old, x).sum())(jnp.ones((2, 3))).any()


def test_a_batch_may_fill_the_queue_but_not_exceed_it():
  old = queue.start(jax.random.key(0), 2, 3)
  assert queue.push(old, jnp.ones((2, 3))).shape == (2, 3)
  with pytest.raises(errors.UserError, match='queue_size is 2, .* adds 3 .*=3 or more'):
    queue.push(old, jnp.ones((3, 3)))
