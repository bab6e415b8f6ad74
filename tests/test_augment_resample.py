"""Resampling matrices against NumPy loops, jax.image and PIL."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ssl_jax import errors
from ssl_jax.augment import crop, resample


def keys_by_hand(x):
  x = abs(x)
  if x < 1:
    return 1.5 * x ** 3 - 2.5 * x ** 2 + 1
  return -0.5 * x ** 3 + 2.5 * x ** 2 - 4 * x + 2 if x < 2 else 0.


def weights_by_hand(length, start, extent, size):
  weights = np.zeros((size, length))
  for i in range(size):
    at = start + (i + 0.5) * extent / size - 0.5
    for pixel in range(start, start + extent):
      weights[i, pixel] = keys_by_hand(at - pixel)
    weights[i] /= weights[i].sum()
  return weights


@pytest.mark.parametrize('start,extent,size', [
    (0, 12, 12), (0, 12, 7), (2, 5, 9), (11, 1, 4), (3, 9, 3)])
def test_bicubic_weights_equal_a_loop(start, extent, size):
  ours = resample.resize_weights(12, start, extent, size)
  np.testing.assert_allclose(
      ours, weights_by_hand(12, start, extent, size), atol=2e-6)


@pytest.mark.parametrize('method,antialias', [
    ('bicubic', False), ('bicubic', True), ('bilinear', False), ('bilinear', True)])
@pytest.mark.parametrize('size', [(16, 16), (9, 5), (4, 20)])
def test_crop_and_resize_equals_resizing_the_crop(method, antialias, size):
  image = np.random.default_rng(0).random((14, 11, 3), np.float32)
  box = crop.Box(3, 2, 10, 7)
  ours = jax.jit(crop.crop_and_resize, static_argnums=(2, 3, 4))(
      image, box, size, method, antialias)
  theirs = jax.image.resize(
      image[3:13, 2:9], (*size, 3), method, antialias=antialias)
  np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize('method,pil', [
    ('bilinear', Image.Resampling.BILINEAR), ('bicubic', Image.Resampling.BICUBIC)])
@pytest.mark.parametrize('size', [5, 16])
def test_antialiased_resize_equals_pil(method, pil, size):
  image = np.random.default_rng(1).random((12, 12), np.float32)
  cropped = Image.fromarray(image).crop((1, 2, 11, 10))
  theirs = np.asarray(cropped.resize((size, 6), pil))
  ours = crop.crop_and_resize(
      image[..., None], crop.Box(2, 1, 8, 10), (6, size), method, antialias=True)
  np.testing.assert_allclose(ours[..., 0], theirs, atol=1e-5)


def test_whole_box_at_the_same_size_is_the_identity():
  image = np.random.default_rng(2).random((9, 8, 3), np.float32)
  ours = crop.crop_and_resize(image, crop.Box(0, 0, 9, 8), (9, 8))
  np.testing.assert_allclose(ours, image, atol=1e-6)


def test_shift_moves_and_fills_with_zeros():
  x = np.arange(1., 6.)
  np.testing.assert_array_equal(resample.shift_weights(5, 2) @ x, [3, 4, 5, 0, 0])
  np.testing.assert_array_equal(resample.shift_weights(5, -1) @ x, [0, 1, 2, 3, 4])


def test_separable_applies_rows_and_columns():
  rng = np.random.default_rng(3)
  image, rows, columns = rng.random((5, 4, 3)), rng.random((2, 5)), rng.random((6, 4))
  expected = np.stack([rows @ image[..., c] @ columns.T for c in range(3)], axis=-1)
  ours = resample.separable(jnp.float32(image), jnp.float32(rows), jnp.float32(columns))
  np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_unknown_method_names_the_nearest():
  with pytest.raises(errors.UserError, match="did you mean 'bicubic'"):
    resample.resize_weights(8, 0, 8, 8, 'bicubik')
