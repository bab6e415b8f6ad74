"""Filters against scipy.ndimage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from ssl_jax.augment import filters


@pytest.fixture
def image():
  return np.random.default_rng(0).random((16, 13, 3), np.float32)


@pytest.mark.parametrize('height,radius', [
    (224, 11), (96, 4), (64, 3), (32, 1), (20, 1), (19, 0), (8, 0)])
def test_blur_radius_is_googles(height, radius):
  assert filters.blur_radius(height) == radius


@pytest.mark.parametrize('radius,sigma', [(1, .1), (1, 2.), (3, .8), (11, 2.)])
def test_blur_equals_a_separable_convolution(image, radius, sigma):
  x = np.arange(-radius, radius + 1)
  taps = np.exp(-x ** 2 / (2 * sigma ** 2))
  taps /= taps.sum()
  expected = image
  for axis in (0, 1):
    expected = ndimage.convolve1d(expected, taps, axis=axis, mode='constant')
  ours = jax.jit(filters.gaussian_blur, static_argnums=2)(image, sigma, radius)
  np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_blur_darkens_the_borders_only():
  blurred = filters.gaussian_blur(jnp.ones((32, 32, 1)), 2., 1)
  np.testing.assert_allclose(blurred[1:-1, 1:-1], 1., atol=1e-6)
  assert blurred[0].max() < .75


def test_blur_of_radius_zero_is_the_image(image):
  np.testing.assert_array_equal(filters.gaussian_blur(image, 2., 0), image)


def test_sobel_equals_scipy(image):
  planes = image.transpose(2, 0, 1)  # scipy would smooth over channels too
  dy, dx = (np.stack([ndimage.sobel(x, axis=a, mode='mirror') / 4 for x in planes],
                     axis=-1) for a in (0, 1))
  np.testing.assert_allclose(
      filters.sobel(image), np.clip(np.hypot(dx, dy), 0, 1), atol=1e-6)


def test_sobel_of_a_step_is_one_and_of_a_flat_image_zero():
  step = jnp.zeros((6, 6, 1)).at[:, 3:].set(1.)
  np.testing.assert_allclose(filters.sobel(step)[:, 2:4], 1.)
  np.testing.assert_array_equal(filters.sobel(jnp.full((6, 6, 1), .7)), 0.)


def test_noise_has_its_deviation_and_stays_in_range(key):
  gray = jnp.full((64, 64, 3), .5)
  noise = filters.add_noise(key, gray, .1) - gray
  assert noise.std() == pytest.approx(.1, rel=.03)
  assert noise.mean() == pytest.approx(0., abs=.005)
  noisy = filters.add_noise(key, gray, 1.)
  assert noisy.min() == 0 and noisy.max() == 1
  np.testing.assert_array_equal(filters.add_noise(key, gray, 0.), gray)
