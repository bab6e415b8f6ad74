"""SwAV: codes of large crops, predictions by all crops, prototypes of unit length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, methods

VIEWS = {'large': {'size': 8, 'count': 2}, 'small': {'size': 4, 'count': 2}}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config(views=VIEWS, **fields):
  return tiny.config('swav') | {
      'augment': {'recipe': 'crop_flip', 'views': views}, 'model': {'name': 'stub'},
      'projector': {'layers': 2, 'hidden': 12, 'dim': 4},
      'method': {'name': 'swav', 'prototypes': 6, 'queue_size': 0, **fields}}


def first_step(method, active=0.):
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  variables = variables.replace(non_trainable={
      **variables.non_trainable, 'active': jnp.float32(active)})
  images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
  views = method.views(jax.random.key(1), {'image': images})
  return variables, views, *jax.jit(method.loss)(
      variables.params, variables, views, -jnp.ones(8, jnp.int32))


def unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def codes(scores):
  q = np.exp(scores / 0.05)
  for _ in range(3):
    q /= q.sum(0, keepdims=True)
    q /= q.sum(1, keepdims=True)
  return q


def test_loss_of_two_sizes_by_hand():
  method = methods.build(config(), 0)
  variables, views, loss, _ = first_step(method)
  state = {'params': variables.params, 'batch_stats': variables.model_state}
  crops = []
  for x in views:  # of one size, [8 * 2, h, w, 3]
    z = method.network.apply(state, x, train=True, mutable=['batch_stats'])[0]
    z = unit(np.asarray(z['projection'], np.float64)).reshape(8, 2, 4)
    crops += [z[:, 0], z[:, 1]]
  kernel = np.asarray(variables.params['predictor']['kernel'], np.float64)
  np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
  scores = [z @ kernel for z in crops]
  log_p = [s / 0.1 - np.log(np.exp(s / 0.1).sum(1, keepdims=True)) for s in scores]
  expected = [-(codes(scores[s]) * log_p[t]).sum(1).mean()
              for s in (0, 1) for t in range(4) if s != t]
  np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-3)


def test_the_queue_counts_when_it_is_active_and_gets_the_embeddings():
  plain = first_step(methods.build(config(), 0))[2]
  method = methods.build(config(queue_size=12), 0)
  variables, _, inactive, output = first_step(method)
  active = first_step(method, active=1.)[2]
  np.testing.assert_allclose(inactive, plain, rtol=1e-5)
  assert abs(active - plain) > 1e-5
  for crop in (0, 1):
    new = output.non_trainable['queue'][crop]
    z = np.asarray(output.endpoints['projection']).reshape(8, 2, 4)[:, crop]
    np.testing.assert_allclose(new[:8], unit(z), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(new[8:], variables.non_trainable['queue'][crop][:4])


def test_prototypes_are_first_frozen_and_then_of_unit_length():
  start, _, _ = tiny.train(config(freeze_prototypes=0.25), steps=0)
  kernel = lambda state: np.asarray(state.variables.params['predictor']['kernel'])
  frozen, _, _ = tiny.train(config(freeze_prototypes=0.25), steps=2)  # of 10
  np.testing.assert_array_equal(kernel(frozen), kernel(start))
  free, _, _ = tiny.train(config(freeze_prototypes=0.25), steps=4)
  assert abs(kernel(free) - kernel(start)).max() > 1e-4
  np.testing.assert_allclose(np.linalg.norm(kernel(free), axis=0), 1, rtol=1e-5)


def test_several_devices_learn_the_same():
  fields = config(queue_size=40, queue_start=0.)
  fields['optim']['learning_rate'] = 0.002
  one, two = (tiny.train(fields, steps=3, devices=n)[0].variables for n in (1, 8))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
               (one.params, one.non_trainable), (two.params, two.non_trainable))


def test_two_crops_of_the_first_size_are_needed():
  method = methods.build(config({'large': {'size': 8}, 'small': {'size': 4}}), 0)
  with pytest.raises(errors.UserError, match='has 1 crops of its first size.*large='):
    first_step(method)
