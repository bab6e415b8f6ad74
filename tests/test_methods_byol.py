"""BYOL: a target network that is an average of the weights and gets no gradient."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, methods
from ssl_jax.jobs import pretrain
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import checkpoint, step


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config(**method):
  fields = tiny.config('byol')
  fields['method'] |= method
  return fields | {'model': {'name': 'stub'},
                   'projector': {'hidden': 16, 'dim': 8, 'last_layer': 'none'},
                   'predictor': {'hidden': 16, 'last_layer': 'none'}}


def built(**method):
  method = methods.build(config(**method), 0)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
  return method, variables, method.views(jax.random.key(1), {'image': images})


def test_the_target_starts_as_the_online_network_without_predictor():
  _, variables, _ = built()
  target = variables.non_trainable['params']
  assert set(variables.params) == {'encoder', 'projector', 'predictor'}
  assert set(target) == {'encoder', 'projector'}
  for name in target:
    jax.tree.map(np.testing.assert_array_equal, target[name], variables.params[name])


def test_loss_by_the_networks_applied_one_by_one():
  """Both in training mode; the target with parameters and statistics of its own."""
  method, variables, views = built()
  target = jax.tree.map(lambda x: x + 0.1, variables.non_trainable)
  variables = variables.replace(non_trainable=target)
  loss, output = jax.jit(method.loss)(variables.params, variables, views,
                                      -jnp.ones(4, jnp.int32))
  apply = lambda network, params, stats: network.apply(
      {'params': params, 'batch_stats': stats}, views, train=True,
      mutable=['batch_stats'])
  online, moved = apply(method.network, variables.params, variables.model_state)
  other, other_moved = apply(method.network.clone(predictor=None), target['params'],
                             target['batch_stats'])
  q, z = (np.asarray(x, np.float64).reshape(4, 2, -1)
          for x in (online['prediction'], other['projection']))
  q, z = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, z))
  expected = np.square(q - z[:, ::-1]).sum((1, 2)).mean()
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
  same = lambda a, b: jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)
  same(output.model_state, moved['batch_stats'])
  same(output.non_trainable['batch_stats'], other_moved['batch_stats'])


def test_no_gradient_flows_to_the_target():
  method, variables, views = built()

  @jax.jit
  def gradient(variables):
    labels = -jnp.ones(4, jnp.int32)
    return jax.grad(lambda v: method.loss(v.params, v, views, labels)[0])(variables)
  grads = gradient(variables)
  assert not any(x.any() for x in jax.tree.leaves(grads.non_trainable))
  assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(grads.params))


def test_the_average_in_closed_form():
  """After step k of K the target keeps 1 - (1 - tau)(cos(pi k / K) + 1) / 2."""
  method, variables, _ = built(tau=0.9)
  total, path = 5, lambda tree: tree['params']['encoder']['conv']['kernel']
  old = np.asarray(path(variables.non_trainable), np.float64)
  update = jax.jit(method.after_update)
  for k in range(1, total + 1):
    variables = variables.replace(
        params=jax.tree.map(lambda x, k=k: x + k, variables.params))
    variables = update(variables, jnp.float32(k / total))
    keep = 1 - (1 - 0.9) * (np.cos(np.pi * k / total) + 1) / 2
    before = old
    old = keep * old + (1 - keep) * np.asarray(path({'params': variables.params}))
    np.testing.assert_allclose(path(variables.non_trainable), old, rtol=1e-4,
                               atol=1e-6)
  assert keep == 1
  np.testing.assert_allclose(old, before)  # the last step leaves the target


def test_the_step_moves_the_target_by_its_progress():
  """Two steps of TrainStep; the target from the parameters of both."""
  fields = config(tau=0.5)
  states = [tiny.train(fields, steps=n)[0].variables for n in (0, 1, 2)]
  kernel = lambda tree: np.asarray(tree['params']['encoder']['conv']['kernel'])
  targets = [kernel(v.non_trainable) for v in states]
  for n in (1, 2):
    keep = 1 - 0.5 * (np.cos(np.pi * n / 10) + 1) / 2  # of 10 steps in all
    expected = keep * targets[n - 1] + (1 - keep) * kernel({'params': states[n].params})
    np.testing.assert_allclose(targets[n], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(targets[n] - targets[n - 1]).max() > 1e-5


def test_a_resumed_run_ends_bit_identical(tmp_path):
  fields = {**config(), 'train': {'epochs': 2, 'online_probe': False}}
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  pretrain.run(fields, whole)
  pretrain.run(fields, parts)
  (parts / 'result.json').unlink()
  with checkpoint.Checkpoints(parts / 'checkpoints') as saved:
    first, last = saved.steps()
  shutil.rmtree(parts / 'checkpoints' / str(last))
  pretrain.run(fields, parts)
  states = []
  for folder in (whole, parts):
    method, tx, feed, mesh = tiny.parts(fields)
    shapes = jax.eval_shape(lambda key, m=method, t=tx, f=feed: step.TrainStep(
        m, t, None, 10).init(key, f.image_shape), jax.random.key(0))
    with checkpoint.Checkpoints(folder / 'checkpoints') as saved:
      states.append(saved.restore_latest(
          checkpoint.abstract(shapes, mesh_lib.replicated(mesh))))
  assert int(states[0].step) == last > first
  jax.tree.map(np.testing.assert_array_equal, *states)


def test_mistakes_are_explained():
  with pytest.raises(errors.UserError, match='config.method.tau is 1.5.*from 0 to 1'):
    methods.build(config(tau=1.5), 0)
  one = {'recipe': 'none', 'views': {'a': {}}}
  with pytest.raises(errors.UserError, match=r'has 1 views \(a\).*makes 2.*give 2'):
    methods.build({**config(), 'augment': one}, 0)


def test_chunks_reach_both_networks():
  method, variables, views = built()
  chunked = dataclasses.replace(method, grad_cache_chunks=2)
  shapes = [jax.eval_shape(m.loss, variables.params, variables, views,
                           jnp.zeros(4, jnp.int32)) for m in (method, chunked)]
  assert shapes[0] == shapes[1]
