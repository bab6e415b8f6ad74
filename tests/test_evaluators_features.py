"""Tests feature extraction: masks, endpoints, pooling, devices, files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.evaluators import features
from ssl_jax.parallel import mesh as mesh_lib

IMAGES = np.random.default_rng(0).integers(0, 256, (21, 6, 5, 3), np.uint8)
LABELS = (np.arange(21) % 4 - 1).astype(np.int32)
WEIGHT = np.random.default_rng(1).normal(size=(3, 7)).astype(np.float32)


def encode(variables, batch):
  x = batch['image'].astype(jnp.float32) / 255
  block = jnp.einsum('bhwc,cd->bhwd', x, variables['w'],
                     precision=jax.lax.Precision.HIGHEST)
  return {'block1': block, 'pooled': block.mean((1, 2)).astype(jnp.bfloat16),
          'rank3': block[:, 0]}


def batches(mesh, size=8):
  """Yields batches like data.feed: global arrays, the last one padded and masked."""
  for start in range(0, len(IMAGES), size):
    rows = np.arange(start, start + size)
    inside = rows < len(IMAGES)
    rows = np.where(inside, rows, 0)
    yield mesh_lib.put_sharded(mesh, {
        'image': IMAGES[rows], 'label': LABELS[rows], 'mask': inside})


def extract(endpoint, pool='mean', devices=None, weight=WEIGHT, encode=encode):
  mesh = mesh_lib.data_mesh(devices)
  variables = mesh_lib.put_replicated(mesh, {'w': weight})
  return features.extract(encode, variables, batches(mesh), endpoint, pool)


def block1():
  return (IMAGES / 255) @ WEIGHT.astype(np.float64)


def test_rows_keep_their_order_and_padding_is_dropped():
  got = extract('block1')
  np.testing.assert_allclose(got.features, block1().mean((1, 2)), atol=1e-5)
  np.testing.assert_array_equal(got.labels, LABELS)
  assert (got.features.dtype, got.labels.dtype) == (np.float32, np.int32)


def test_vectors_stay_and_become_float32():
  got = extract('pooled', 'flatten')
  assert got.features.dtype == np.float32
  np.testing.assert_allclose(got.features, block1().mean((1, 2)), atol=2e-2)


@pytest.mark.parametrize('pool', ['mean', 'flatten', 'max', 2])
def test_does_not_depend_on_the_number_of_devices(pool):
  one, eight = (extract('block1', pool, d) for d in (jax.devices()[:1], None))
  np.testing.assert_allclose(one.features, eight.features, rtol=1e-6, atol=1e-6)
  np.testing.assert_array_equal(one.labels, eight.labels)


def test_unknown_endpoint_lists_those_there_are():
  with pytest.raises(errors.UserError, match="'block9'.*block1, pooled.*'block1'"):
    extract('block9')


@pytest.mark.parametrize('endpoint, pool, match', [
    ('rank3', 'mean', r'\[B, H, W, C\]'),
    ('block1', 'median', "'median'.*'flatten'"),
    ('block1', 0, 'pool is 0'),
    ('block1', True, 'pool is True'),
    ('block1', 6, '6 x 5 positions'),
])
def test_mistakes_are_named(endpoint, pool, match):
  with pytest.raises(errors.UserError, match=match):
    extract(endpoint, pool)


def test_no_images_and_divergence_are_errors():
  with pytest.raises(errors.UserError, match='no images'):
    features.extract(encode, {'w': WEIGHT}, [], 'block1')
  with pytest.raises(errors.UserError, match='not finite for 21 of 21'):
    extract('block1', weight=WEIGHT * np.nan)


def test_other_variables_do_not_compile_again():
  compiled = []

  def listen(event, seconds, **unused):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(seconds)

  first = extract('block1')
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    second = extract('block1', weight=2 * WEIGHT)
    assert not compiled
    extract('block1', encode=lambda *args: encode(*args))  # another function does
    assert compiled
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  np.testing.assert_allclose(second.features, 2 * first.features, rtol=1e-5)


def test_npz_holds_every_split(tmp_path):
  wanted = extract('block1')
  path = tmp_path / 'new' / 'features.npz'
  features.save_npz(path, {'train': wanted, 'test': wanted})
  with np.load(path) as got:
    assert sorted(got) == [
        'test_features', 'test_labels', 'train_features', 'train_labels']
    np.testing.assert_array_equal(got['test_features'], wanted.features)
    np.testing.assert_array_equal(got['train_labels'], wanted.labels)
  assert [p.name for p in path.parent.iterdir()] == ['features.npz']


def test_labelled_rows_and_bad_labels():
  data = features.Features(np.arange(6.).reshape(3, 2), np.array([1, -1, 0]))
  np.testing.assert_array_equal(data.labelled(2).features, [[0, 1], [4, 5]])
  np.testing.assert_array_equal(data.labelled(2).labels, [1, 0])
  with pytest.raises(errors.UserError, match='0 to 0'):
    data.labelled(1)
  with pytest.raises(errors.UserError, match='none of the 3'):
    features.Features(data.features, np.full(3, -1)).labelled(2)
  with pytest.raises(errors.UserError, match='do not belong together'):
    features.Features(data.features, np.zeros(2))


def test_moments_leave_dead_features_alone():
  x = np.random.default_rng(0).normal(3, 2, (500, 4)).astype(np.float32)
  x[:, 2] = 5
  mean, std = features.moments(x)
  np.testing.assert_allclose(mean, x.mean(0, np.float64), rtol=1e-6)
  np.testing.assert_allclose(std[[0, 1, 3]], x.std(0)[[0, 1, 3]], rtol=1e-5)
  assert std[2] == 1
