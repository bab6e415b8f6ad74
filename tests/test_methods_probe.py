"""Probes: heads to the digit, an encoder that stays, a normalisation that fits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, linear_probe, methods, models
from ssl_jax.augment import policies
from ssl_jax.methods import probe

HEADS = {'linear': ('stage1', 2), 'mlp': ('stage1', 'flatten'),
         'conv_block': ('stage1', 'none')}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


@pytest.fixture(scope='module')
def pretrained(stub, tmp_path_factory):
  return tiny.pretrained(
      tmp_path_factory.mktemp('runs') / 'run', model={'name': 'stub'},
      augment={'recipe': 'rotnet', 'pad': 1, 'mean': [0.5] * 3, 'std': [0.25] * 3})


def build(head='linear', endpoint='stage1', pool=2):
  config = {**tiny.config('rotnet'), 'model': {'name': 'stub'}}
  return probe.Probe(
      pretrained=methods.build(config, 0), policy=policies.build('rotnet', pad=1),
      head=models.build_head(head, 4), endpoint=endpoint, pool=pool)


def test_shapes_of_every_head():
  for head, (endpoint, pool) in HEADS.items():
    method = build(head, endpoint, pool)
    variables = jax.eval_shape(lambda key, m=method: m.init(key, (8, 8, 3)),
                               jax.random.key(0))
    out = jax.eval_shape(method.encode, method.encoder(variables),
                         jnp.zeros((5, 8, 8, 3), jnp.uint8))
    assert out['logits'].shape == (5, 4) and out['logits'].dtype == jnp.float32
    assert bool(variables.model_state) == (head != 'linear')
    assert out['stage1'].shape == (5, 8, 8, 6)  # the encoder's are there too


@pytest.mark.parametrize('head', HEADS)
def test_encoder_stays_and_head_learns(head):
  method = build(head, *HEADS[head])
  images = np.zeros((8, 8, 8, 3), np.uint8)
  images[:, :, :, 0] = np.arange(8)[:, None, None] % 4 * 80  # the class is the colour
  labels = jnp.arange(8) % 4
  state = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  before = linear_probe.digest(state.slow)
  statistics = linear_probe.digest(state.model_state)

  @jax.jit
  def step(state, key):
    (loss, aux), grads = jax.value_and_grad(method.loss, has_aux=True)(
        state.params, state, method.views(key, images), labels)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, grads)
    state = state.replace(params=params, model_state=aux.model_state)
    return method.after_update(state, 0), loss

  losses = []
  for i in range(30):
    state, loss = step(state, jax.random.key(i))
    losses.append(loss)
  assert linear_probe.digest(state.slow) == before
  assert losses[-1] < losses[0]
  if head != 'linear':
    assert linear_probe.digest(state.model_state) != statistics
    assert losses[-1] < 0.7


def test_encoder_runs_in_evaluation_mode():
  """The features of an image do not depend on its neighbours in the batch."""
  method = build()
  state = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  views = jax.random.uniform(jax.random.key(1), (6, 8, 8, 3))
  features = lambda x: method.loss(
      state.params, state, x, jnp.zeros(len(x), jnp.int32))[1].features
  np.testing.assert_allclose(jax.jit(features)(views)[:2],
                             jax.jit(features)(views[:2]), atol=1e-6)


@pytest.mark.parametrize('fields, words', [
    ({'endpoint': 'stage2'}, ["config.features.endpoint is 'stage2'", 'pooled, stage1',
                              "did you mean 'stage1'"]),
    ({'pool': 9}, ['pool is 9', '8 x 8 positions']),
    ({'pool': 'none'}, ["head.name='linear'", 'config.features.pool']),
    ({'head': 'mlp', 'pool': 'none'}, ["head.name='mlp'"]),
    ({'head': 'conv_block', 'pool': 'mean'}, ["head.name='conv_block'", "'none'"]),
    ({'head': 'conv_block', 'endpoint': 'pooled', 'pool': 'none'},
     ["head.name='conv_block'", 'config.features.endpoint']),
])
def test_mistakes_are_explained(fields, words):
  method = build(**fields)
  with pytest.raises(errors.UserError) as error:
    jax.eval_shape(lambda key: method.init(key, (8, 8, 3)), jax.random.key(0))
  for word in words:
    assert word in str(error.value)


@pytest.mark.parametrize('head', HEADS)
def test_from_a_checkpoint(head, pretrained, tmp_path):
  endpoint, pool = HEADS[head]
  config = {
      **tiny.config(), 'head': {'name': head},
      'features': {'endpoint': endpoint, 'pool': pool, 'batch_size': 16},
      'augment': {'recipe': 'rotnet', 'pad': 1}, 'data': {'validation_fraction': 0.2},
      'train': {'epochs': 1}}
  result = linear_probe.run(config, pretrained, tmp_path / 'probe')
  assert result['protocol'] == (
      f'{head} head on {endpoint}, pool {pool}, rotnet augmentation')
  assert 0 <= result['test']['top1'] <= 1
  assert np.shape(result['test']['confusion']) == (4, 4)


def test_the_encoder_that_moves_is_caught(pretrained, tmp_path, monkeypatch):
  nudge = lambda self, variables, step: variables.replace(
      slow=jax.tree.map(lambda x: x * 1.001, variables.slow))
  monkeypatch.setattr(probe.Probe, 'after_update', nudge)
  config = {
      **tiny.config(), 'features': {'endpoint': 'pooled', 'pool': 'mean',
                                    'batch_size': 16}, 'train': {'epochs': 0.2},
      'data': {'validation_fraction': 0.2}}
  with pytest.raises(AssertionError, match='frozen encoder changed'):
    linear_probe.run(config, pretrained, tmp_path / 'probe')


def test_views_are_normalised_as_the_encoder_knows_them():
  class Encoder:
    config = {'augment': {'recipe': 'rotnet', 'size': 8, 'mean': [0.5] * 3,
                          'std': [0.25] * 3}}
  policy = linear_probe._policy({'augment': {'recipe': 'crop_flip'}}, Encoder)
  assert policy == policies.build('crop_flip', size=8, mean=(0.5,) * 3, std=(0.25,) * 3)
  stated = linear_probe._policy({'augment': {'recipe': 'none', 'size': 16}}, Encoder)
  assert stated.size == 16 and stated.std == (0.25,) * 3
