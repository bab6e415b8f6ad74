"""Colour operations against colorsys, PIL and NumPy."""

import colorsys
import itertools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from ssl_jax import errors
from ssl_jax.augment import color
from ssl_jax.data import notices
from ssl_jax.parallel import platforms


@pytest.fixture(autouse=True, params=['cpu', 'gpu'])
def platform(request):
  """Tests the form for the CPU and the form for GPUs."""
  with platforms.compile_for(request.param):
    yield


@pytest.fixture
def image():
  """Random colours, and the corner cases: greys, black, white, primaries."""
  image = np.random.default_rng(0).random((8, 8, 3), np.float32)
  image[0] = np.array([[0, 0, 0], [1, 1, 1], [.5, .5, .5], [1, 0, 0], [0, 1, 0],
                       [0, 0, 1], [1, 1, 0], [.2, .7, .7]])
  return image


def through_hsv(image, change):
  return np.array([[colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*map(float, p))))
                    for p in row] for row in image])


def gray(image):
  return (image @ np.array([.2989, .587, .114]))[..., None]


@pytest.mark.parametrize('delta', [0., .1, -.2, .5, 1.])
def test_hue_equals_colorsys(image, delta):
  expected = through_hsv(image, lambda h, s, v: ((h + delta) % 1, s, v))
  np.testing.assert_allclose(color.adjust_hue(image, delta), expected, atol=2e-6)


@pytest.mark.parametrize('factor', [0., .4, 1., 1.8, 10.])
def test_hsv_saturation_equals_colorsys(image, factor):
  expected = through_hsv(image, lambda h, s, v: (h, min(s * factor, 1), v))
  np.testing.assert_allclose(
      color.adjust_saturation(image, factor), expected, atol=2e-6)


@pytest.mark.parametrize('factor', [0., .4, 1., 1.7])
def test_torchvision_style_equals_pil(image, factor):
  levels = np.round(image * 255).astype(np.uint8)
  pil = Image.fromarray(levels)
  image = jnp.float32(levels) / 255
  for ours, enhance in [
      (color.adjust_contrast(image, factor, 'gray'), ImageEnhance.Contrast),
      (color.adjust_saturation(image, factor, 'gray'), ImageEnhance.Color)]:
    theirs = np.asarray(enhance(pil).enhance(factor)) / 255
    # PIL rounds greys, their mean and the blend to whole levels.
    np.testing.assert_allclose(jnp.clip(ours, 0, 1), theirs, atol=2.5 / 255)


@pytest.mark.parametrize('factor', [0., .3, 1., 1.6])
def test_contrast_is_around_each_channels_mean(image, factor):
  mean = image.mean(axis=(0, 1))
  np.testing.assert_allclose(
      color.adjust_contrast(image, factor), mean + factor * (image - mean), atol=1e-6)


def test_grayscale_and_solarize(image):
  np.testing.assert_allclose(
      color.grayscale(image), np.repeat(gray(image), 3, axis=-1), atol=1e-6)
  levels = np.round(image * 255).astype(np.uint8)
  theirs = np.asarray(ImageOps.solarize(Image.fromarray(levels), 128))
  ours = color.solarize(jnp.float32(levels) / 255)
  np.testing.assert_allclose(ours * 255, theirs, atol=1e-3)


def jitter_by_hand(image, style, amount, order, clip_each):
  """NumPy and colorsys; `order` names the operations 0..3 in turn."""
  amount = amount * ([1, 1, .5, 1] if style == 'byol' else 1)  # half the saturation
  factor = np.maximum(1 + .8 * amount, 0)
  around_gray = style == 'torchvision'
  mean = lambda x: (gray(x) if around_gray else x).mean(axis=(0, 1))
  ops = [
      lambda x: x + .8 * amount[0] if style in ('simclr_v1', 'byol') else x * factor[0],
      lambda x: mean(x) + factor[1] * (x - mean(x)),
      lambda x: gray(x) + factor[2] * (x - gray(x)) if around_gray else
      through_hsv(x, lambda h, s, v: (h, min(s * factor[2], 1), v)),
      lambda x: through_hsv(x, lambda h, s, v: ((h + .2 * amount[3]) % 1, s, v)),
  ]
  for i in order:
    image = ops[i](image)
    image = np.clip(image, 0, 1) if clip_each else image
  return np.clip(image, 0, 1)


@pytest.mark.parametrize('style', color.STYLES)
def test_jitter_is_one_of_24_orders_clipped_after_each(image, style):
  orders = list(itertools.permutations(range(4)))
  jitter = jax.jit(lambda key: color.jitter(key, image, 1., style))
  seen, late_clip_differs = set(), False
  for seed in range(6):
    key = jax.random.key(seed)
    ours = jitter(key)
    # The amounts drawn are read as the implementation reads them.
    amount = 2 * np.array(jax.random.uniform(key, (8,)))[:4] - 1
    by_hand = {o: jitter_by_hand(image, style, amount, o, True) for o in orders}
    errors_of = {o: np.abs(x - ours).max() for o, x in by_hand.items()}
    best = min(errors_of, key=errors_of.get)
    assert errors_of[best] < 1e-5
    seen.add(best)
    late = jitter_by_hand(image, style, amount, best, False)
    late_clip_differs |= np.abs(late - by_hand[best]).max() > 1e-3
  assert len(seen) >= 3 and late_clip_differs


def test_every_order_is_equally_likely():
  keys = jax.random.split(jax.random.key(0), 4800)
  ranks = jax.vmap(lambda k: color.ranks(jax.random.uniform(k, (4,))))(keys)
  _, counts = np.unique(np.asarray(ranks), axis=0, return_counts=True)
  assert len(counts) == 24
  # Chi-squared with 23 degrees of freedom is below 49.7 in 99.9 % of cases.
  assert ((counts - 200) ** 2 / 200).sum() < 49.7


def test_ranks_of_ties_are_still_a_permutation():
  ranks = color.ranks(jnp.array([.5, .1, .5, .1]))
  np.testing.assert_array_equal(ranks, [2, 0, 3, 1])


@pytest.mark.parametrize('style', color.STYLES)
def test_strength_zero_changes_nothing(key, image, style):
  np.testing.assert_allclose(color.jitter(key, image, 0., style), image, atol=1e-6)


def test_jitter_varies_by_its_strength():
  white = jnp.full((2, 2, 1), .5)  # contrast, hue and saturation leave it
  keys = jax.random.split(jax.random.key(0), 4000)
  for style, reach in [('simclr_v1', .4), ('simclr_v2', .2)]:
    values = jax.vmap(lambda k: color.jitter(k, white, .5, style)[0, 0, 0])(keys)  # noqa: B023
    assert .5 - reach <= values.min() < .51 - reach
    assert .49 + reach < values.max() <= .5 + reach + 1e-6
    assert values.mean() == pytest.approx(.5, abs=.02)


@pytest.mark.parametrize('channels', [1, 2, 4])
def test_other_channels_have_no_hue_saturation_or_gray(key, channels, caplog):
  image = np.random.default_rng(0).random((8, 8, channels), np.float32)
  notices.log_once.cache_clear()
  with caplog.at_level(logging.INFO):
    color.jitter(key, image, 1.)
    color.grayscale(image)
  line, = caplog.messages
  assert line.startswith(f'Images have {channels} channel')
  for same in (color.adjust_hue(image, .3), color.adjust_saturation(image, 2.),
               color.adjust_saturation(image, 2., 'gray'), color.grayscale(image)):
    np.testing.assert_array_equal(same, image)
  for style in color.STYLES:
    jittered = color.jitter(key, image, 1., style)
    assert jittered.shape == image.shape
    assert np.abs(jittered - image).max() > 1e-3
  if channels > 1:  # Brightness and contrast change every channel, each by itself.
    first = color.jitter(key, image[..., :1], 1., 'torchvision')
    np.testing.assert_allclose(
        color.jitter(key, image, 1., 'torchvision')[..., :1], first, atol=1e-6)


def test_unknown_styles_are_refused(key):
  with pytest.raises(errors.UserError, match="did you mean 'simclr_v2'"):
    color.jitter(key, jnp.zeros((8, 8, 3)), 1., 'simclr_v3')


def test_byol_jitters_as_its_table_says():
  """arXiv:2006.07733, table 6: 0.4, 0.4, 0.2 and 0.1, here at strength 0.5."""
  image = jnp.array([[[.6, .5, .4]]])  # one pixel: contrast leaves it
  keys = jax.random.split(jax.random.key(0), 4000)
  jittered = jax.vmap(lambda k: color.jitter(k, image, .5, 'byol')[0, 0])(keys)
  value, low = jittered.max(-1), jittered.min(-1)
  shift = value - .6  # added to all channels, and clipped nowhere
  assert shift.min() == pytest.approx(-.4, abs=.01)
  assert shift.max() == pytest.approx(.4, abs=.01)
  inside = (low > .01) & (value < .99)
  chroma = (value - low)[inside] / .2  # 1, but for the change of saturation
  assert chroma.max() < 1.2 * 1.5 and chroma.min() > .8 * .5
