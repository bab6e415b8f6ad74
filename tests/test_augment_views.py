"""Tests the order of views in a batch, and that the devices do not change them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from ssl_jax.augment import policies
from ssl_jax.augment import views as views_lib
from ssl_jax.parallel import mesh as meshes


@pytest.fixture
def images():
  return np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), dtype=np.uint8)


def test_each_image_and_view_is_drawn_by_itself(key):
  images = np.tile(np.arange(144, dtype=np.uint8).reshape(1, 12, 12, 1), (6, 1, 1, 1))
  policy = policies.build('crop_flip')
  views = np.asarray(jax.jit(views_lib.make, static_argnums=0)(
      (policy, policy), key, images))
  assert len(np.unique(views.reshape(12, -1), axis=0)) == 12


def test_views_of_an_image_are_adjacent(key, images):
  white = policies.build('compose', ops=[('solarize', {'p': 1., 'threshold': 0.})])
  views = views_lib.make((policies.build('none'), white), key, images)
  scaled = images.astype(np.float32) / 255
  np.testing.assert_allclose(views[::2], scaled, atol=1e-6)
  np.testing.assert_allclose(views[1::2], 1 - scaled, atol=1e-6)


def test_equal_policies_give_what_different_ones_would(key, images):
  a, b = policies.build('crop_flip'), policies.build('rotnet')
  make = jax.jit(views_lib.make, static_argnums=0)
  same, mixed = make((a, a), key, images), make((a, b), key, images)
  np.testing.assert_allclose(same[::2], mixed[::2], atol=1e-6)
  assert np.abs(same[1::2] - mixed[1::2]).max() > .01


def test_dtype_and_normalisation(key, images):
  policy = policies.build('none', mean=[.5, .4, .3], std=[.2, .3, .4])
  views = views_lib.make((policy,), key, images, jnp.bfloat16)
  assert views.dtype == jnp.bfloat16
  expected = (images / 255 - [.5, .4, .3]) / [.2, .3, .4]
  np.testing.assert_allclose(np.float32(views), expected, rtol=1e-2, atol=1e-2)


def test_views_do_not_depend_on_the_number_of_devices(key, images):
  policy = policies.build('simclr_v2', blur=.5, size=24)
  make = jax.jit(lambda key, images: views_lib.make((policy, policy), key, images))
  results = []
  for count in (1, 8):
    mesh = meshes.data_mesh(jax.devices()[:count])
    batch = jax.device_put(images, meshes.sharded(mesh))
    compiled = make.lower(jax.device_put(key, meshes.replicated(mesh)), batch).compile()
    results.append(compiled(jax.device_put(key, meshes.replicated(mesh)), batch))
  # The two programs round differently. A crop is two sums of a few products and rounds
  # by some 4 ulps of 1; brightness, contrast and saturation then multiply that by up to
  # 1.8 each, so by up to 6. The largest difference over 60 keys was 25 ulps.
  np.testing.assert_allclose(*results, rtol=0, atol=64 * np.finfo(np.float32).eps)
  rows = NamedSharding(mesh, PartitionSpec(meshes.DATA_AXIS))
  assert results[1].sharding.is_equivalent_to(rows, 4)
  # Every view is made on the device of its image, so that nothing is exchanged.
  assert not re.search(r'all-(to-all|gather|reduce)|collective-permute|reduce-scatter',
                       compiled.as_text())


def test_views_of_one_size_are_one_array_and_of_several_a_list(key, images):
  large, small = (policies.build('crop_flip', size=n) for n in (12, 6))
  same = policies.build('crop_flip')  # keeps the images' 12 px
  assert views_lib.make((large, same), key, images).shape == (16, 12, 12, 3)
  found = jax.jit(views_lib.make, static_argnums=0)(
      (large, small, large, small, small), key, images)
  assert [x.shape for x in found] == [(16, 12, 12, 3), (24, 6, 6, 3)]
  # Each view is what its policy makes of its image with the view's own key.
  keys = jax.random.split(key, 8 * 5).reshape(8, 5)
  for x, policy, chosen in ((found[0], large, (0, 2)), (found[1], small, (1, 3, 4))):
    for v, view in enumerate(chosen):
      alone = jax.vmap(policy)(keys[:, view], images)
      np.testing.assert_allclose(x[v::len(chosen)], alone, atol=1e-5)
