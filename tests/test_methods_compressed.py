"""Tests pruning and quantization around methods: invariants at every step."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny
import tiny_finetune
from flax import traverse_util
from tiny_compression import SECTION
from tiny_compression import pretraining as config

from ssl_jax import errors, methods
from ssl_jax.compression import kernels
from ssl_jax.methods import compressed
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import collectives
from ssl_jax.train import step


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def masks(state):
  return traverse_util.flatten_dict(state.variables.non_trainable['masks'])


def trained(fields, steps=5, **how):
  state, rows, _ = tiny.train(fields, steps=steps, **how)
  return state, rows


def same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def close(a, b, **tolerance):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_absent_section_changes_nothing():
  fields = config()
  del fields['compression']
  assert type(methods.build(fields, 4)) is methods.METHODS['simclr']
  assert type(methods.build({**fields, 'compression': None}, 4)) is (
      methods.METHODS['simclr'])


def test_neither_pruning_nor_bits_trains_as_the_method_alone():
  plain = config()
  del plain['compression']
  state, rows = trained(config(sparsity=0, bits=None))
  other, other_rows = trained(plain)
  same(state.variables.params, other.variables.params)
  for row, other_row in zip(rows, other_rows, strict=True):
    assert row == other_row


def test_sparsity_follows_the_schedule_and_masks_lose_weights_only():
  """Updates are due after steps 2, 3 and 4 of 10; 'far' has 16 weights."""
  before = None
  for steps, pruned in ((1, 0), (2, 4), (3, 8), (4, 12), (6, 12)):
    state, rows = trained(config(sparsity=0.75, end=0.4, start=0.1, every=0.1),
                          steps=steps)
    (path, mask), = masks(state).items()
    assert path == ('encoder', 'far', 'conv', 'kernel')
    assert (~np.asarray(mask)).sum() == pruned
    weights = kernels.find(state.variables.params)[path]
    np.testing.assert_array_equal(weights == 0, ~np.asarray(mask))
    if before is not None:
      assert not (mask & ~before).any()
    before = mask
  assert float(rows[-1]['sparsity']) == 0.75


def test_the_encoder_is_compressed_and_can_be_used_as_any_other():
  fields = config(bits=3, model='staged')
  state, _ = trained(fields)
  method = methods.build(fields, 4)
  encoder = method.encoder_variables(state.variables)
  for path, w in kernels.find(encoder['params']).items():
    for channel in np.moveaxis(np.asarray(w), -1, 0):
      assert len(np.unique(channel)) <= 7, path
  (path, mask), = masks(state).items()
  assert not np.asarray(kernels.find(encoder['params'])[path])[~np.asarray(mask)].any()
  images = {'image': np.zeros((2, 8, 8, 3), np.uint8)}
  inner = method.inner
  same(method.encode(encoder, images), inner.encode(encoder, images))
  assert method.views_per_image == 2 and method.min_images == 2


def test_loss_is_that_of_the_compressed_weights():
  """Equal to the loss of the other method at the weights that would be saved."""
  fields = config(bits=4)
  state, _ = trained(fields)
  method = methods.build(fields, 4)
  views = jax.random.normal(jax.random.key(0), (8, 8, 8, 3))
  labels = jnp.zeros(4, jnp.int32)
  loss = lambda m, v: m.loss(v.params, v, views, labels)[0]
  inner = method.inner_variables(state.variables)
  encoder = method.encoder_variables(state.variables)
  np.testing.assert_allclose(loss(method, state.variables), loss(
      method.inner, inner.replace(params=encoder['params'])), rtol=1e-6)
  assert abs(loss(method.inner, inner) - loss(method, state.variables)) > 1e-6
  gradient = jax.grad(lambda p: method.loss(p, state.variables, views, labels)[0])(
      state.variables.params)
  (path, mask), = masks(state).items()
  found = np.asarray(kernels.find(gradient)[path])
  assert not found[~np.asarray(mask)].any() and found[np.asarray(mask)].all()


@pytest.mark.parametrize('devices', [2, 8])
def test_any_number_of_devices_prunes_the_same(devices):
  one, rows = trained(config())
  state, others = trained(config(), devices=devices)
  same(masks(one), masks(state))
  close(one.variables.params, state.variables.params, rtol=1e-3, atol=1e-4)
  for row, other in zip(rows, others, strict=True):
    close(row, other, rtol=2e-3, atol=1e-4)


def test_pruning_sends_no_messages_and_calls_no_host():
  """Every device finds the same thresholds by itself; the state is updated in place."""
  def program(fields):
    method, tx, feed, mesh = tiny.parts(fields, devices=8)
    one = step.TrainStep(method, tx, None, total_steps=10)
    replicated = lambda x: jax.ShapeDtypeStruct(
        x.shape, x.dtype, sharding=mesh_lib.replicated(mesh))
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.tree.map(replicated, jax.eval_shape(
        lambda key: one.init(key, feed.image_shape), key))
    dispatch = step.make_dispatch(one, feed.select, mesh, state)
    return dispatch.lower(state, replicated(key), feed.inputs(0), 1).compile(), state

  messages = lambda text: sorted(
      c.op for c in collectives.parse(text) for _ in range(c.count))
  with_pruning, state = program(config())
  alone, _ = program({**config(), 'compression': None})
  text = with_pruning.as_text()
  assert messages(text) == messages(alone.as_text()) and 'conditional' in text
  assert not re.search(r'callback|infeed|outfeed| send\(| recv\(', text)
  assert with_pruning.memory_analysis().alias_size_in_bytes == sum(
      x.size * x.dtype.itemsize for x in jax.tree.leaves(state))


def test_a_resumed_training_is_the_same_bit_for_bit():
  method, tx, feed, _ = tiny.parts(config())
  train_step = step.TrainStep(method, tx, None, total_steps=10)
  update = jax.jit(lambda state, batch: train_step(state, jax.random.key(2), batch)[0])
  state = train_step.init(jax.random.key(1), feed.image_shape)
  states = [state := update(state, feed.batch_at(i)) for i in range(4)]
  host = jax.tree.map(np.asarray, states[1])  # as a checkpoint holds it
  for i in (2, 3):
    host = update(jax.device_put(host), feed.batch_at(i))
  same(host, states[-1])


def test_batch_norm_forgets_the_statistics_before_the_last_update_of_the_masks():
  """Two states differ in the running statistics only; no update looks at them.

  After n steps of recovery the difference is multiplied by 0.9^n, for all layers.
  """
  method, tx, feed, _ = tiny.parts(config())
  train_step = step.TrainStep(method, tx, None, total_steps=10)
  update = jax.jit(lambda state, batch: train_step(state, jax.random.key(2), batch)[0])
  state = train_step.init(jax.random.key(1), feed.image_shape)
  for i in range(4):  # the last update of the masks is after step 4
    state = update(state, feed.batch_at(i))
  stale = state.replace(variables=state.variables.replace(model_state=jax.tree.map(
      lambda x: x + 1, state.variables.model_state)))
  for i in range(4, 10):
    state, stale = (update(s, feed.batch_at(i)) for s in (state, stale))
  same(state.variables.params, stale.variables.params)
  same(masks(state), masks(stale))
  close(jax.tree.map(jnp.subtract, stale.variables.model_state,
                     state.variables.model_state),
        jax.tree.map(lambda x: np.full(x.shape, 0.9**6, np.float32),
                     state.variables.model_state), rtol=1e-4)


def test_gradients_may_be_computed_in_chunks():
  state, rows = trained(config(train={'grad_cache_chunks': 2}))
  assert all(np.isfinite(row['loss']) for row in rows)
  (_, mask), = masks(state).items()
  assert (~np.asarray(mask)).sum() == 12


def test_variables_of_the_other_method_move_on():
  """BYOL keeps its target network among what is not trained."""
  state, _ = trained(config('byol'))
  inner = state.variables.non_trainable['inner']
  assert set(inner) == {'params', 'batch_stats'}
  fresh = tiny.train(config('byol'), steps=0)[0].variables.non_trainable['inner']
  moved = jax.tree.map(lambda a, b: float(abs(a - b).max()), inner, fresh)
  assert max(jax.tree.leaves(moved)) > 0


@pytest.mark.parametrize('criterion', ['uniform', 'random'])
def test_other_criteria_prune_each_layer_alike(criterion):
  fields = config(criterion=criterion, dense_stem=False, dense_head=False)
  state, _ = trained(fields)
  for mask in masks(state).values():
    assert mask.sum() == mask.size - round(0.75 * mask.size)
  assert len(masks(state)) == 4


def fine_tuning(before=None, **section):
  fields = tiny_finetune.config()
  fields['compression'] = {**SECTION, **section}
  if before is not None:
    fields['pretrained']['compression'] = {**SECTION, **before}
  return fields


def test_fine_tuning_starts_from_the_dense_encoder():
  method = methods.build(fine_tuning(), 4)
  variables = method.init(jax.random.key(0), tiny_finetune.SHAPE)
  pretrained = method.network.network
  image = jnp.zeros((1, 8, 8, 3))
  encoder = pretrained.init(jax.random.key(1), image, train=False)
  new = method.with_pretrained(variables, encoder)
  whole = method.inner.encoder_variables(method.inner_variables(new))
  same(whole['params']['network'], encoder['params'])
  same(new.non_trainable['masks'], jax.tree.map(
      jnp.ones_like, variables.non_trainable['masks']))
  same(method.frozen(new), method.inner.frozen(method.inner_variables(new)))


@pytest.mark.parametrize('before, kept', [({'sparsity': 0.5}, True),
                                          ({'sparsity': 0.}, False), (None, False)])
def test_zeros_of_a_pruned_encoder_stay(before, kept):
  method = methods.build(fine_tuning(before), 4)
  variables = method.init(jax.random.key(0), tiny_finetune.SHAPE)
  encoder = method.network.network.init(
      jax.random.key(1), jnp.zeros((1, 8, 8, 3)), train=False)
  path = ('encoder', 'far', 'conv', 'kernel')
  half = kernels.find(encoder['params'])[path].at[..., :2].set(0)
  encoder['params'] = kernels.replace(encoder['params'], {path: half})
  new = method.with_pretrained(variables, encoder)
  mask = traverse_util.flatten_dict(new.non_trainable['masks'])['network', *path]
  np.testing.assert_array_equal(mask[..., :2], not kept)
  assert mask[..., 2:].all()


@pytest.mark.parametrize('fields, message', [
    ({'end': 0.1}, 'compression.end is 0.1, which is not after .*start=0.1'),
    ({'bits': 9}, 'compression.bits is 9; .* from 2 to 8'),
    ({'sparsity': 1.0}, 'compression.sparsity is 1.0'),
    ({'floor': 0.5}, 'compression.floor is 0.5'),
    ({'schedule': 'cubik'}, "did you mean 'cubic'")])
def test_mistakes_are_named(fields, message):
  with pytest.raises(errors.UserError, match=message):
    methods.build(config(**fields), 4)
  assert compressed.Compression(sparsity=0.9, schedule='one_shot', end=0.).bits == 6
