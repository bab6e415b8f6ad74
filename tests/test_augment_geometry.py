"""Tests flips, rotations, shifts and masks against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.augment import geometry


@pytest.fixture
def image():
  return np.random.default_rng(0).random((6, 6, 3), np.float32)


def test_flip_mirrors_left_and_right(image):
  np.testing.assert_array_equal(geometry.flip(image), np.fliplr(image))
  np.testing.assert_array_equal(geometry.flip(geometry.flip(image)), image)


@pytest.mark.parametrize('k', range(4))
def test_rotate_equals_rot90(image, k):
  np.testing.assert_array_equal(
      jax.jit(geometry.rotate)(image, k), np.rot90(image, k))


def test_four_quarter_turns_are_the_identity(image):
  turned = image
  for _ in range(4):
    turned = geometry.rotate(turned, 1)
  np.testing.assert_array_equal(turned, image)


def test_rotate_all_keeps_the_rotations_of_an_image_adjacent(image):
  images = np.stack([image, 1 - image])
  got = jax.jit(lambda x: geometry.rotate_all(x, (3, 0, 1)))(images)
  want = [np.rot90(x, k) for x in images for k in (3, 0, 1)]
  np.testing.assert_array_equal(got, want)


def test_rotate_needs_a_square():
  with pytest.raises(errors.UserError, match='images are 6x8'):
    geometry.rotate(jnp.zeros((6, 8, 3)), 1)


def test_pad_and_crop_takes_every_window_equally_often(image):
  padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
  windows = np.stack([padded[y:y + 6, x:x + 6] for y in range(5) for x in range(5)])
  keys = jax.random.split(jax.random.key(0), 5000)
  ours = jax.vmap(lambda k: geometry.pad_and_crop(k, image, 2))(keys)
  match = (windows[None] == np.asarray(ours)[:, None]).all(axis=(2, 3, 4))
  assert (match.sum(axis=1) == 1).all()
  counts = match.sum(axis=0)
  # Chi-squared with 24 degrees of freedom is below 51.2 in 99.9 % of cases.
  assert ((counts - 200) ** 2 / 200).sum() < 51.2


def test_cutout_is_a_square_around_any_pixel():
  keys = jax.random.split(jax.random.key(0), 2000)
  cut = jax.vmap(lambda k: geometry.cutout(k, jnp.ones((8, 8, 1)), .5))(keys)
  hole = np.asarray(cut)[..., 0] == 0
  heights, widths = hole.any(axis=2).sum(axis=1), hole.any(axis=1).sum(axis=1)
  np.testing.assert_array_equal(hole.sum(axis=(1, 2)), heights * widths)
  # Whole where the centre is inside, at least half of it where at the border.
  assert set(heights) == set(widths) == {2, 3, 4}
  assert hole.any(axis=0).all()
  assert (heights == 4).mean() == pytest.approx(5 / 8, abs=.05)
