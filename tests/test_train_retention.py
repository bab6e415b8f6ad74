"""Tests which checkpoints remain in a folder."""

import jax.numpy as jnp
import pytest

from ssl_jax.train import checkpoint, retention


@pytest.mark.parametrize('policy, kept', [
    (retention.policy(1), [21]), (retention.policy(2), [18, 21]),
    (retention.policy(2, every=10), [3, 9, 18, 21])])
def test_checkpoints_that_remain(tmp_path, policy, kept):
  """Steps are saved every 3, and those nearest to 0, 10 and 20 are 3, 9 and 21."""
  tree = {'w': jnp.zeros(2)}
  with checkpoint.Checkpoints(tmp_path / 'checkpoints', keep=policy) as checkpoints:
    for step in range(3, 22, 3):
      checkpoints.save(step, tree, tree, {})
  with checkpoint.Checkpoints(tmp_path / 'checkpoints') as checkpoints:
    assert checkpoints.steps() == kept
