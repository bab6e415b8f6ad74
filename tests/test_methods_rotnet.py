"""RotNet against np.rot90: what is turned, in which order, with which label."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import errors, methods
from ssl_jax.methods import rotnet

NIN = {'name': 'nin', 'blocks': 3, 'width': 1 / 32}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config(rotations='all', model=None, **augment):
  fields = tiny.config('rotnet')
  return {**fields, 'model': model or {'name': 'stub'},
          'method': {'name': 'rotnet', 'rotations': rotations},
          'augment': {'recipe': 'rotnet', 'pad': 1, **augment}}


def build(rotations='all', **augment):
  return methods.build(config(rotations, **augment), num_classes=0)


@pytest.fixture
def images():
  return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)


def views(method, images, seed=0):
  return jax.device_get(jax.jit(method.views)(
      jax.random.key(seed), {'image': images}))


@pytest.mark.parametrize('rotations', ['all', '0_180', '90_270'])
def test_rotations_of_a_crop_are_adjacent_rows(rotations, images):
  method = build(rotations)
  turns = {'all': [0, 1, 2, 3], '0_180': [0, 2], '90_270': [1, 3]}[rotations]
  rotated, labels = views(method, images)
  assert rotated.shape == (5 * len(turns), 8, 8, 3)
  np.testing.assert_array_equal(labels, list(range(len(turns))) * 5)
  rotated = rotated.reshape(5, len(turns), 8, 8, 3)
  upright = np.rot90(rotated[:, 0], -turns[0], (1, 2))
  for v, turn in enumerate(turns):
    np.testing.assert_array_equal(
        rotated[:, v], np.rot90(upright, turn, (1, 2)))
  # And the crops are crops: other than the images, and different every time.
  assert np.abs(upright - images / 255).max() > 0.1
  assert not np.array_equal(rotated.reshape(-1, 8, 8, 3), views(method, images, 1)[0])


def test_one_turn_of_each_image_drawn_at_random(images):
  method = build('random', pad=0, flip_p=0.)
  rotated, labels = jax.device_get(jax.jit(jax.vmap(method.views, (0, None)))(
      jax.random.split(jax.random.key(0), 100), {'image': images}))
  assert rotated.shape == (100, 5, 8, 8, 3)
  for row in range(100):
    for image, turned, label in zip(images, rotated[row], labels[row], strict=True):
      np.testing.assert_allclose(turned, np.rot90(image, label) / 255, atol=1e-6)
  counts = np.bincount(labels.ravel(), minlength=4)
  # Chi-squared with 3 degrees of freedom exceeds 16.3 once in 1000 times.
  assert counts.sum() == 500 and (np.square(counts - 125) / 125).sum() < 16.3


@pytest.mark.parametrize('rotations, classes', [
    ('all', 4), ('random', 4), ('0_180', 2), ('90_270', 2)])
def test_loss_of_a_zero_head_is_log_of_the_count(rotations, classes, images):
  method = build(rotations)
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))
  params = {**variables.params,
            'head': jax.tree.map(jnp.zeros_like, variables.params['head'])}
  assert params['head']['dense']['bias'].shape == (classes,)
  loss, aux = jax.jit(lambda key: method.loss(
      params, variables, method.views(key, {'image': images}),
      -jnp.ones(5, jnp.int32)))(jax.random.key(1))
  np.testing.assert_allclose(loss, np.log(classes), rtol=1e-6)
  rows = 5 * (1 if rotations == 'random' else classes)
  assert aux.endpoints['pooled'].shape == (rows, 6)
  # Of equal logits the first counts: the share of label 0.
  if rotations != 'random':
    np.testing.assert_allclose(aux.metrics['rotation_accuracy'], 1 / classes)


def test_encodes_upright_images(images):
  method = build()
  encoder = method.encoder_variables(jax.jit(
      lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0)))
  endpoints = jax.jit(method.encode)(encoder, {'image': images})
  alone = jax.jit(lambda v: method.network.apply(
      v, jnp.asarray(images, jnp.float32) / 255, train=False))(encoder)
  assert endpoints.keys() == {'stage1', 'pooled', 'logits'}
  for name in alone:
    np.testing.assert_allclose(endpoints[name], alone[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('rotations, model', [('all', NIN), ('random', None)])
def test_same_trajectory_on_1_and_8_devices(rotations, model):
  one, rows, _ = tiny.train(config(rotations, model), devices=1)
  eight, other, _ = tiny.train(config(rotations, model), devices=8)
  for a, b in zip(rows, other, strict=True):
    for name in a:
      np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=1e-5)
  for x, y in zip(*(jax.tree.leaves(s.variables) for s in (one, eight)), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


def test_learns_to_tell_up_from_down():
  """Images that are bright at the top: a rotation is plain to see."""
  method = build('all', pad=0)
  bright = np.linspace(255, 0, 8).astype(np.uint8)[None, :, None, None]
  images = np.broadcast_to(bright, (4, 8, 8, 3))
  variables = jax.jit(lambda key: method.init(key, (8, 8, 3)))(jax.random.key(0))

  @jax.jit
  def step(variables, key):
    (_, aux), grads = jax.value_and_grad(method.loss, has_aux=True)(
        variables.params, variables, method.views(key, {'image': images}),
        -jnp.ones(4))
    params = jax.tree.map(lambda p, g: p - 0.3 * g, variables.params, grads)
    return variables.replace(params=params, model_state=aux.model_state), aux.metrics

  for i in range(40):
    variables, metrics = step(variables, jax.random.key(i))
  assert metrics['rotation_accuracy'] == 1


def test_mistakes_are_explained():
  with pytest.raises(errors.UserError, match="config.method.rotations is 'four'; "
                     "accepted is 'all', 'random', '0_180' or '90_270'"):
    build('four')
  with pytest.raises(errors.UserError, match='images are 8x6, and rotations need'):
    jax.eval_shape(build().views, jax.random.key(0),
                   {'image': jnp.zeros((2, 8, 6, 3), jnp.uint8)})


def test_the_head_has_a_logit_for_each_rotation():
  for rotations, turns in rotnet.ROTATIONS.items():
    assert build(rotations).quarter_turns == turns
    assert build(rotations).network.head.num_classes == len(turns)
