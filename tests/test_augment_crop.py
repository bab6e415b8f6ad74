"""Crop samplers against plain Python versions of their definitions."""

import functools
import math

import jax
import numpy as np
import pytest

from ssl_jax.augment import crop

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


@functools.cache
def many(sampler, area):
  return jax.jit(jax.vmap(
      lambda key, h, w: sampler(key, h, w, area, RATIO), in_axes=(0, None, None)))


def draw(sampler, height, width, n=20_000, area=AREA):
  """[n, 4]. Sizes are traced, so that all tests share one program."""
  boxes = many(sampler, area)(jax.random.split(jax.random.key(0), n), height, width)
  return np.stack([np.asarray(x) for x in boxes], axis=1)


def tensorflow_by_hand(rng, height, width, area, ratio):
  """One attempt after another, integers, as the kernel's documentation says."""
  low, high = area[0] * height * width, area[1] * height * width
  for _ in range(100):
    aspect = rng.uniform(*ratio)
    smallest = round(math.sqrt(low / aspect))
    limit = min(height, round(math.sqrt(high / aspect)))
    largest = max(h for h in range(1, limit + 1) if round(h * aspect) <= width)
    h = rng.integers(min(smallest, largest), largest + 1)
    if h * round(h * aspect) < low:
      h += 1
    if h * round(h * aspect) > high:
      h -= 1
    w = round(h * aspect)
    if low <= h * w <= high and 0 < h <= height and 0 < w <= width:
      if h * w >= 0.1 * height * width:
        return (rng.integers(height - h) if h < height else 0,
                rng.integers(width - w) if w < width else 0, h, w)
  return 0, 0, height, width


@pytest.mark.parametrize('height,width,area', [
    (32, 32, AREA), (8, 8, AREA), (24, 40, AREA), (32, 32, (0.2, 0.6))])
def test_tensorflow_boxes_are_distributed_as_by_hand(height, width, area):
  rng = np.random.default_rng(0)
  theirs = np.array([tensorflow_by_hand(rng, height, width, area, RATIO)
                     for _ in range(6_000)])
  ours = draw(crop.tensorflow_box, height, width, area=area)
  for column in range(4):
    values = np.arange(max(height, width) + 1)
    a = (ours[:, column, None] <= values).mean(axis=0)
    b = (theirs[:, column, None] <= values).mean(axis=0)
    # Kolmogorov-Smirnov distance; 0.028 is its 0.1 % level for these counts.
    assert np.abs(a - b).max() < 0.028


@pytest.mark.parametrize('sampler,size,mean', [
    (crop.tensorflow_box, 224, 0.423), (crop.tensorflow_box, 32, 0.430),
    (crop.torchvision_box, 224, 0.48), (crop.torchvision_box, 32, 0.49),
    (crop.byol_box, 224, 0.53)])
def test_mean_area_is_the_published_one(sampler, size, mean):
  boxes = draw(sampler, size, size)
  assert (boxes[:, 2] * boxes[:, 3]).mean() / size ** 2 == pytest.approx(mean, abs=6e-3)


@pytest.mark.parametrize('sampler', crop.SAMPLERS.values())
@pytest.mark.parametrize('height,width', [(8, 8), (32, 32), (20, 50)])
def test_boxes_are_whole_pixels_inside_the_image(sampler, height, width):
  top, left, h, w = draw(sampler, height, width).T
  for x in (top, left, h, w):
    np.testing.assert_array_equal(x, np.round(x))
  assert top.min() >= 0 and left.min() >= 0 and h.min() >= 1 and w.min() >= 1
  assert (top + h).max() <= height and (left + w).max() <= width


def test_tensorflow_refuses_a_tenth_and_the_last_offset():
  top, left, h, w = draw(crop.tensorflow_box, 32, 32).T
  assert 0.1 <= (h * w).min() / 1024 < 0.11
  assert not ((top + h == 32) & (h < 32)).any()
  assert not ((left + w == 32) & (w < 32)).any()
  assert ((top + h == 31) & (h < 31)).any()


def test_torchvision_keeps_eight_percent_and_the_last_offset():
  top, left, h, w = draw(crop.torchvision_box, 32, 32).T
  assert (h * w).min() / 1024 < 0.09
  assert ((top + h == 32) & (h < 32)).any() and ((left + w == 32) & (w < 32)).any()


def test_impossible_ranges_fall_back():
  # Nothing of a 4 x 64 strip has half its area and is nearly square.
  ours = draw(crop.torchvision_box, 4, 64, n=8, area=(0.5, 1.0))
  np.testing.assert_array_equal(ours, np.tile([0, 29, 4, 5], (8, 1)))
  ours = draw(crop.tensorflow_box, 4, 64, n=8, area=(0.5, 1.0))
  np.testing.assert_array_equal(ours, np.tile([0, 0, 4, 64], (8, 1)))


@pytest.mark.parametrize('sampler', crop.SAMPLERS.values())
def test_static_sizes_draw_the_same_boxes(sampler):
  static = jax.jit(lambda key: sampler(key, 20, 30, AREA, RATIO))
  keys = jax.random.split(jax.random.key(0), 4)
  np.testing.assert_array_equal(
      [np.array(static(key)) for key in keys], draw(sampler, 20, 30, n=4))


@pytest.mark.parametrize('height,width,aspect,expected', [
    (256, 256, 1.0, (16, 16, 224, 224)),
    (224, 224, 1.0, (14, 14, 196, 196)),
    (300, 200, 1.0, (63, 13, 175, 175)),
    (200, 300, 1.5, (13, 19, 175, 262)),
])
def test_center_box_is_googles(height, width, aspect, expected):
  box = crop.center_box(height, width, 0.875, aspect)
  np.testing.assert_array_equal(np.array(box), expected)


def test_byol_boxes_by_hand():
  """One draw, cut to the image (deepmind-research, byol/utils/dataset.py)."""
  height, width = 20, 50
  for seed in range(50):
    key = jax.random.key(seed)
    u = np.asarray(jax.random.uniform(key, (4,)), np.float64)
    area = (.08 + u[0] * .92) * height * width
    aspect = np.exp(np.log(3 / 4) + u[1] * (np.log(4 / 3) - np.log(3 / 4)))
    w = min(round(np.sqrt(area * aspect)), width)
    h = min(round(np.sqrt(area / aspect)), height)
    expected = (int(u[2] * (height - h + 1)), int(u[3] * (width - w + 1)), h, w)
    box = crop.byol_box(key, height, width, (.08, 1.), (3 / 4, 4 / 3))
    assert tuple(map(int, box)) == expected
