"""Tests that fixed endpoints in place of the network give the same loss."""

import jax
import numpy as np
import tiny

from ssl_jax.performance import (
  forward,
  workload,
)


def test_the_objective_alone_has_the_value_of_the_whole(key):
  run = workload.training_run(tiny.config(), 'synthetic')

  @jax.jit
  def both(batch):
    variables = run.method.init(key, run.feed.image_shape)
    args = variables.params, variables, run.method.views(key, batch)
    loss, aux = run.method.loss(*args, batch['label'])
    passes = [{'projection': aux.endpoints['projection']}]
    again, _ = forward.replaced(run.method, passes).loss(*args, batch['label'])
    return loss, again

  loss, again = both(run.feed.batch_at(0))
  np.testing.assert_allclose(again, loss, rtol=1e-6)


def test_the_objective_alone_tells_the_online_from_the_target_network(key):
  run = workload.training_run(tiny.config('byol', online_probe=False), 'synthetic')

  @jax.jit
  def both(batch):
    variables = run.method.init(key, run.feed.image_shape)
    variables = variables.replace(non_trainable=jax.tree.map(
        lambda x: x + 0.1, variables.non_trainable))
    args = variables.params, variables, run.method.views(key, batch)
    passes = []
    loss, _ = forward.recorded(run.method, passes).loss(*args, batch['label'])
    again, _ = forward.replaced(run.method, passes).loss(*args, batch['label'])
    same, _ = forward.replaced(run.method, passes[:1] * 2).loss(*args, batch['label'])
    return loss, again, same

  loss, again, same = both(run.feed.batch_at(0))
  np.testing.assert_allclose(again, loss, rtol=1e-6)
  assert abs(same - loss) > 1e-3
