"""Tests the training step, which is the same on any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods
from ssl_jax.methods import base
from ssl_jax.train import step


def leaves(tree):
  return [np.asarray(x) for x in jax.tree.leaves(tree)]


def same(a, b):
  for x, y in zip(leaves(a), leaves(b), strict=True):
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize('method, model', [
    ('simclr', tiny.MODEL), ('supervised', {'name': 'stub'}),
    ('byol', {'name': 'stub'}), ('simsiam', {'name': 'stub'}),
    *((name, {'name': 'stub'}) for name in (
        'barlow_twins', 'vicreg', 'moco_v2', 'moco_v3', 'nnclr', 'supcon'))])
def test_same_trajectory_on_1_2_and_8_devices(method, model):
  fields = {**tiny.config(method), 'model': model}
  devices = (2, 8)
  if model['name'] == 'stub':  # its features are small, so gradients are large
    fields['optim']['learning_rate'], devices = 0.002, (8,)
  with stub_encoder.registered():
    one, rows, _ = tiny.train(fields, devices=1)
    others = [tiny.train(fields, devices=n) for n in devices]
  for state, other, _ in others:
    for a, b in zip(rows, other, strict=True):
      for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-5)
    for x, y in zip(leaves(one.variables), leaves(state.variables), strict=True):
      np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


def test_every_step_draws_views_of_its_own_and_a_resumed_one_the_same():
  """Uses the same batch each time, so that only the step changes the views."""
  with stub_encoder.registered():
    method, tx, feed, _ = tiny.parts({**tiny.config(), 'model': {'name': 'stub'}})
  seen = Watched(method)
  batch, key = feed.batch_at(0), jax.random.key(2)
  train_step = step.TrainStep(seen, tx, None, total_steps=3)
  update = jax.jit(lambda state: train_step(state, key, batch))
  state = train_step.init(jax.random.key(1), feed.image_shape)
  views = []
  for _ in range(3):
    saved, (state, row) = state, update(state)
    views.append(np.asarray(row['views']))
  for one, other in ((0, 1), (1, 2), (0, 2)):
    assert np.mean(views[one] != views[other]) > 0.5
  host = jax.tree.map(np.asarray, saved)  # as a checkpoint holds it
  assert host.step == 2
  np.testing.assert_array_equal(update(jax.device_put(host))[1]['views'], views[2])


class Watched:
  """A method that returns its views among the metrics."""

  def __init__(self, method):
    self._method = method

  def __getattr__(self, name):
    return getattr(self._method, name)

  def loss(self, params, variables, views, labels):
    loss, aux = self._method.loss(params, variables, views, labels)
    return loss, aux.replace(metrics={**aux.metrics, 'views': views})


def test_steps_per_dispatch_do_not_change_the_result():
  single, rows, _ = tiny.train(tiny.config(), steps=4)
  fused, means, _ = tiny.train(tiny.config(), steps=4, steps_per_dispatch=4)
  assert int(single.step) == int(fused.step) == 4
  np.testing.assert_allclose(
      means[0]['loss'], np.mean([row['loss'] for row in rows]), rtol=1e-4)
  for x, y in zip(leaves(single.variables), leaves(fused.variables), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)


def test_every_step_draws_its_own_views(monkeypatch):
  fields = {**tiny.config(), 'model': {'name': 'stub'}}
  with stub_encoder.registered():
    method, tx, feed, _ = tiny.parts(fields)
  seen = []
  monkeypatch.setattr(type(method), 'loss', lambda self, params, variables, views, _: (
      seen.append(views) or (jnp.zeros(()), base.LossOutput(variables.model_state, {},
                                                            {}))))
  one = step.TrainStep(method, tx, None, total_steps=2)
  state = one.init(jax.random.key(0), feed.image_shape)
  batch = feed.batch_at(0)
  for _ in range(2):
    state, _ = one(state, jax.random.key(1), batch)
  assert np.abs(np.asarray(seen[0]) - np.asarray(seen[1])).max() > 0.1


def test_progress_rises_to_one(monkeypatch):
  fields = {**tiny.config(), 'model': {'name': 'stub'}}
  with stub_encoder.registered():
    monkeypatch.setattr(
        methods.METHODS['simclr'], 'after_update',
        lambda self, variables, progress: variables.replace(non_trainable=progress))
    monkeypatch.setattr(
        methods.METHODS['simclr'], 'init',
        lambda self, *args: base.Base.init(self, *args).replace(
            non_trainable=jnp.zeros(())))
    found = [float(tiny.train(fields, steps=n)[0].variables.non_trainable)
             for n in (1, 10)]
  np.testing.assert_allclose(found, [0.1, 1.0], rtol=1e-6)


def test_what_a_loss_returns_is_kept():
  variables = base.Variables({'w': 1}, {'mean': 2}, {'queue': 3})
  output = base.LossOutput({'mean': 4}, {}, {})
  assert step.updated(variables, output, {'w': 5}) == base.Variables(
      {'w': 5}, {'mean': 4}, {'queue': 3})
  output = output.replace(non_trainable={'queue': 6})
  assert step.updated(variables, output, {'w': 5}).non_trainable == {'queue': 6}
