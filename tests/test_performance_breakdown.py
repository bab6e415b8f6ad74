"""Tests the times of the parts of a step, and the programs that are timed."""

import jax
import numpy as np
import optax
import pytest
import stub_encoder
import tiny

from ssl_jax.performance import breakdown, workload

TIMES = {'augmentation': (1.0, 2.0), 'forward and objective': (5.0, 4.5),
         'gradient': (12.0, 11.0), 'objective': (1.0, 0.5), 'loss': (3.0, 2.0),
         'optimizer': (0.25, 0.5)}


def test_parts_by_hand():
  found = {name: one.seconds for name, one in breakdown.parts(TIMES).items()}
  assert found == {'augmentation': (1.0, 2.0), 'forward': (4.0, 4.0),
                   'backward': (5.0, 5.0), 'loss': (3.0, 2.0),
                   'optimizer': (0.25, 0.5)}


def test_the_parts_of_the_loss_add_up_to_its_gradient():
  found = breakdown.parts(TIMES)
  for i, whole in enumerate(TIMES['gradient']):
    assert sum(found[name].seconds[i]
               for name in ('forward', 'backward', 'loss')) == whole


def test_samples_are_subtracted_one_by_one():
  assert breakdown.difference((5, 7), (1, 2), (1, 1)) == [3, 4]
  with pytest.raises(ValueError):
    breakdown.difference((5, 7), (1,))


def test_programs_compute_the_step_and_leave_its_state_alone():
  with stub_encoder.registered():
    config = {**tiny.config(online_probe=False), 'model': {'name': 'stub'}}
    run = workload.training_run(config, 'synthetic')
  key = jax.random.key(3)
  state = jax.jit(lambda: run.train_step.init(key, run.feed.image_shape))()
  before = jax.tree.map(np.array, state.variables)
  programs = breakdown.programs(run, state, key)
  results = {name: program() for name, program in programs.items()}
  batch = run.feed.batch_at(0)
  views = jax.jit(run.method.views)(key, batch)
  np.testing.assert_allclose(results['augmentation'], views, atol=1e-6)
  (loss, _), grads = jax.jit(jax.value_and_grad(run.method.loss, has_aux=True))(
      state.variables.params, state.variables, views, batch['label'])
  for name in ('forward and objective', 'objective'):
    np.testing.assert_allclose(results[name][0], loss, rtol=1e-5)
  np.testing.assert_allclose(results['gradient'][0][0], loss, rtol=1e-5)
  updates, _ = run.tx.update(grads, state.opt_state, state.variables.params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
               results['optimizer'][0].params,
               optax.apply_updates(state.variables.params, updates))
  jax.tree.map(np.testing.assert_array_equal, before, state.variables)
