"""Fine-tuning and probes: what is frozen, what is trained, and by which gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny
from tiny_finetune import SHAPE, build, config, drawn, flat

from ssl_jax import errors, methods
from ssl_jax.jobs import finetune
from ssl_jax.objectives import classification

HEADS = {'linear': ('stage1', 2), 'mlp': ('stage1', 'flatten'),
         'conv_block': ('stage1', 'none')}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def by_hand(frozen, whole, views):
  """Endpoints of the stub encoder, stage by stage, and the new statistics."""
  endpoints, x, updated = {}, views, {}
  for name in ('near', 'far'):
    variables = {c: whole[c]['network']['encoder'][name] for c in whole}
    x, new = stub_encoder.Stage().apply(variables, x, train=name not in frozen,
                                        mutable=['batch_stats'])
    endpoints[name], updated[name] = x, new['batch_stats']
  endpoints['pooled'] = x.mean((1, 2))
  dense = whole['params']['head']['dense']
  endpoints['logits'] = endpoints['pooled'] @ dense['kernel'] + dense['bias'][None]
  return endpoints, updated


def test_against_the_stages_applied_by_hand():
  """Endpoints, statistics and gradient; the frozen stage as a constant."""
  method = build('far')
  variables = drawn(method)
  views = jax.random.uniform(jax.random.key(1), (6, *SHAPE))
  labels = jnp.arange(6) % 4

  def expected(whole):
    endpoints, updated = by_hand({'near'}, whole, views)
    return classification.softmax_cross_entropy(endpoints['logits'], labels), (
        endpoints, updated)

  (loss, aux), grads = jax.jit(jax.value_and_grad(method.loss, has_aux=True))(
      variables.params, variables, views, labels)
  (value, (endpoints, updated)), full = jax.jit(jax.value_and_grad(
      expected, has_aux=True))(method.encoder_variables(variables))
  np.testing.assert_allclose(loss, value, rtol=1e-6)
  for name, endpoint in endpoints.items():
    np.testing.assert_allclose(aux.endpoints[name], endpoint, rtol=1e-5, atol=1e-6)
  grads, full = flat(grads), flat(full['params'])
  assert {'/'.join(name.split('/')[:-2]) for name in grads} == {
      'head', 'network/encoder/far'}
  for name, gradient in grads.items():
    np.testing.assert_allclose(gradient, full[name], rtol=1e-4, atol=1e-6)
  assert any(full[name].any() for name in full if 'near' in name)  # and not trained
  moved = flat(aux.model_state['network']['encoder'])
  assert moved.keys() == {'far/bn/mean', 'far/bn/var'}
  for name, statistic in moved.items():
    np.testing.assert_allclose(statistic, flat(updated)[name], rtol=1e-5)


def test_with_nothing_frozen_it_is_plain_training():
  """Gradient and statistics are those of the Linen module as it is."""
  method = build(None, pretrain='rotnet')
  variables = drawn(method)
  views = jax.random.uniform(jax.random.key(1), (6, *SHAPE))
  labels = jnp.arange(6) % 4

  def plain(params):
    endpoints, updated = method.network.apply(
        {**method.encoder_variables(variables), 'params': params}, views, train=True,
        mutable=['batch_stats'])
    return classification.softmax_cross_entropy(endpoints['logits'], labels), updated

  grads, aux = jax.jit(jax.grad(method.loss, has_aux=True))(
      variables.params, variables, views, labels)
  full, updated = jax.jit(jax.grad(plain, has_aux=True))(
      method.encoder_variables(variables)['params'])
  jax.tree.map(np.testing.assert_array_equal, aux.model_state, updated['batch_stats'])
  full = flat(full)
  for name, gradient in flat(grads).items():
    np.testing.assert_allclose(gradient, full.pop(name), rtol=1e-5, atol=1e-7)
  assert full and all('network/head' in name for name in full)
  assert not any(gradient.any() for gradient in full.values())


def test_frozen_throughout_is_softmax_regression():
  """The probe's gradient in closed form, on features of the encoder in evaluation."""
  method = build('head')
  variables = drawn(method)
  images = jax.random.randint(jax.random.key(1), (6, *SHAPE), 0, 256).astype(jnp.uint8)
  labels = np.arange(6) % 4
  features = np.asarray(jax.jit(method.encode)(
      method.encoder_variables(variables), {'image': images})['pooled'])
  assert (features > 0).any(0).sum() > 2
  kernel, bias = (np.asarray(variables.params['head']['dense'][k])
                  for k in ('kernel', 'bias'))
  scores = np.exp(features @ kernel + bias)
  error = (scores / scores.sum(1, keepdims=True) - np.eye(4)[labels]) / 6
  views = images.astype(jnp.float32) / 255
  grads = jax.jit(jax.grad(method.loss, has_aux=True))(
      variables.params, variables, views, labels)[0]['head']['dense']
  np.testing.assert_allclose(grads['kernel'], features.T @ error, atol=1e-6)
  np.testing.assert_allclose(grads['bias'], error.sum(0), atol=1e-6)


def test_pretrained_variables_replace_the_drawn_ones_but_in_the_head():
  method, other = build('far'), build(None)
  variables, encoder = drawn(method), other.encoder_variables(drawn(other, seed=1))
  encoder = {c: tree['network'] for c, tree in encoder.items()}
  got = method.encoder_variables(method.with_pretrained(variables, encoder))
  same = lambda a, b: finetune.digest(a) == finetune.digest(b)
  assert same({c: got[c]['network'] for c in got}, encoder)
  assert same(got['params']['head'], variables.params['head'])
  assert (jax.tree.structure(method.with_pretrained(variables, encoder))
          == jax.tree.structure(variables))


def test_same_trajectory_on_1_and_8_devices():
  fields = config('far')
  one, rows, _ = tiny.train(fields, devices=1)
  eight, others, _ = tiny.train(fields, devices=8)
  for a, b in zip(rows, others, strict=True):
    np.testing.assert_allclose(a['loss'], b['loss'], rtol=2e-4)
  for x, y in zip(*(jax.tree.leaves(s.variables) for s in (one, eight)), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('model', ['stub', 'resnet8'])
def test_running_statistics_keep_what_the_momentum_says(model):
  fields = config(model=model, model_fields=(('width', 0.25),) * (model == 'resnet8'))
  batch = {'image': jax.random.randint(jax.random.key(3), (8, *SHAPE), 0, 256)
           .astype(jnp.uint8)}
  labels = jnp.arange(8, dtype=jnp.int32) % 4

  def moved(momentum):
    fields['method']['bn_momentum'] = momentum
    method = methods.build(fields, 4)
    variables = drawn(method)
    views = method.views(jax.random.key(0), batch)
    _, aux = jax.jit(method.loss)(variables.params, variables, views, labels)
    return flat(variables.model_state), flat(aux.model_state)

  old, as_the_layers_do = moved(None)
  replaced, kept = moved(0.)[1], moved(0.97)[1]
  assert old
  for path in old:
    # Momentum 0 leaves the statistics of the batch itself.
    of_batch = (as_the_layers_do[path] - 0.9 * old[path]) / 0.1
    np.testing.assert_allclose(replaced[path], of_batch, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(kept[path], 0.97 * old[path] + 0.03 * of_batch,
                               rtol=1e-4, atol=1e-5)


def test_a_batch_may_pass_in_chunks():
  """What a chunk is: test_methods_chunks. Here, that frozen stages stay out of it."""
  method = build('far')
  chunked = dataclasses.replace(method, grad_cache_chunks=2)
  variables = drawn(method)
  shapes = [jax.eval_shape(m.loss, variables.params, variables, jnp.zeros((6, *SHAPE)),
                           jnp.zeros(6, jnp.int32)) for m in (method, chunked)]
  assert shapes[0] == shapes[1]


def test_precision_is_that_of_the_run_itself():
  fields = config()
  fields['train'] = {**fields['train'], 'precision': 'bfloat16'}
  method = methods.build(fields, 4)
  out = jax.eval_shape(
      lambda: method.encode(
          method.encoder_variables(method.init(jax.random.key(0), SHAPE)),
          {'image': jnp.zeros((1, *SHAPE), jnp.uint8)}))
  assert method.dtype == jnp.bfloat16 and out['projection1'].dtype == jnp.float32
  assert method.network.network.projector.dtype == jnp.bfloat16


def test_shapes_of_every_head():
  for head, (endpoint, pool) in HEADS.items():
    method = build('head', 'stub', 'rotnet', endpoint, pool, head)
    variables = jax.eval_shape(lambda key, m=method: m.init(key, SHAPE),
                               jax.random.key(0))
    out = jax.eval_shape(method.encode, method.encoder_variables(variables),
                         {'image': jnp.zeros((5, *SHAPE), jnp.uint8)})
    assert out['logits'].shape == (5, 4) and out['logits'].dtype == jnp.float32
    assert bool(variables.model_state) == (head != 'linear')
    assert out['stage1'].shape == (5, 8, 8, 6)  # the encoder's are there too


@pytest.mark.parametrize('head', ['linear', 'conv_block'])
def test_heads_learn(head):
  method = build('head', 'stub', 'rotnet', *HEADS[head], head)
  views = np.zeros((8, *SHAPE), np.float32)
  views[:, :, :, 0] = np.arange(8)[:, None, None] % 4 * 0.3  # the class is the colour
  variables = jax.jit(lambda key: method.init(key, SHAPE))(jax.random.key(0))

  @jax.jit
  def step(variables):
    (loss, aux), grads = jax.value_and_grad(method.loss, has_aux=True)(
        variables.params, variables, views, jnp.arange(8) % 4)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, variables.params, grads)
    return variables.replace(params=params, model_state=aux.model_state), loss

  losses = []
  for _ in range(30):
    variables, loss = step(variables)
    losses.append(loss)
  assert losses[-1] < (losses[0] if head == 'linear' else 0.7)


PROBE = {'freeze_until': 'head', 'model': 'stub', 'pretrain': 'rotnet',
         'endpoint': 'stage1', 'pool': 2}


@pytest.mark.parametrize('fields, words', [
    ({'endpoint': 'stage2'}, ["config.features.endpoint is 'stage2'", 'pooled, stage1',
                              "did you mean 'stage1'"]),
    ({'endpoint': 'logits'}, ["endpoint is 'logits'", 'pooled, stage1']),
    ({'endpoint': 'projection1'}, ["is 'projection1'", 'pooled, stage1']),
    ({'pool': 9}, ['pool is 9', '8 x 8 positions']),
    ({'pool': 'none'}, ["head.name='linear'", 'config.features.pool']),
    ({'head': 'mlp', 'pool': 'none'}, ["head.name='mlp'"]),
    ({'head': 'conv_block', 'pool': 'mean'}, ["head.name='conv_block'", "'none'"]),
    ({'head': 'conv_block', 'endpoint': 'pooled', 'pool': 'none'},
     ["head.name='conv_block'", 'config.features.endpoint']),
    ({'model': 'resnet8', 'freeze_until': 'stage5'},
     ["config.freeze_until is 'stage5'", 'None, to train everything',
      "'stage1'", 'stem, stage1, head']),
    ({'model': 'staged', 'freeze_until': 'far', 'endpoint': 'near'},
     ["config.freeze_until is 'far'", ': near, head']),
])
def test_mistakes_are_explained(fields, words):
  method = build(**{**PROBE, **fields})
  with pytest.raises(errors.UserError) as error:
    method.stages(SHAPE)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)
