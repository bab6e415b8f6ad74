"""Recipes: what they accept, their ranges, and how views lie in a batch."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageOps

from ssl_jax import errors
from ssl_jax.augment import crop, first_stages, policies, stages
from ssl_jax.augment import views as views_lib


@pytest.fixture
def images():
  return np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), dtype=np.uint8)


EVERYTHING = ('crop', 'pad_crop', 'flip', 'rotation', 'color', 'blur', 'cutout',
              'sobel', 'noise', 'solarize')


RGB, DIGITS, WIDE = (12, 12, 3), (8, 8, 1), (10, 14, 3)


@pytest.mark.parametrize('recipe,shape,fields', [
    *((name, RGB, {}) for name in policies.RECIPES),
    ('compose', RGB, {'ops': EVERYTHING}), ('simclr_v2', DIGITS, {}),
    ('torchvision', DIGITS, {}), ('simclr_v2', WIDE, {'size': 24, 'blur': .5}),
    ('none', WIDE, {}), ('none', WIDE, {'size': 24})])
def test_views_have_their_shape_and_stay_in_range(recipe, shape, fields):
  images = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
  policy = policies.build(recipe, **fields)
  make = jax.jit(lambda key: views_lib.make((policy, policy), key, images))
  views = np.asarray(make(jax.random.key(0)))
  height, width = (24, 24) if 'size' in fields else shape[:2]
  assert views.shape == (8, height, width, shape[2]) and views.dtype == np.float32
  assert np.isfinite(views).all() and views.min() >= 0 and views.max() <= 1
  np.testing.assert_array_equal(views, make(jax.random.key(0)))
  if recipe != 'none':
    assert np.abs(views - make(jax.random.key(1))).max() > .1
    assert np.abs(views[::2] - views[1::2]).max() > .1


def test_none_is_the_identity_at_the_same_size(key, images):
  view = policies.build('none', size=12)(key, images[0])
  np.testing.assert_array_equal(view, images[0].astype(np.float32) / 255)


def test_none_crops_the_center_above_32_pixels(key):
  image = np.random.default_rng(0).random((40, 40, 3), np.float32)
  # 0.875 * 40 = 35 pixels from offset (40 - 35 + 1) // 2 = 3.
  expected = jax.image.resize(
      image[3:38, 3:38], (40, 40, 3), 'bicubic', antialias=False)
  np.testing.assert_allclose(
      policies.build('none')(key, image), jnp.clip(expected, 0, 1), atol=1e-5)


def test_recipes_differ_where_they_say():
  v1, v2, tv = (policies.build(name).stages(64)
                for name in ('simclr_v1', 'simclr_v2', 'torchvision'))
  assert [s[2].style for s in (v1, v2, tv)] == ['simclr_v1', 'simclr_v2', 'torchvision']
  assert [s[0].sampler for s in (v1, v2, tv)] == ['tensorflow'] * 2 + ['torchvision']
  assert v2[3] == stages.Blur(.5)
  assert policies.build('simclr_v2').stages(32)[3] == stages.Blur(0.)
  assert policies.build('simclr_v2', blur=1.).stages(32)[3] == stages.Blur(1.)
  assert not any(isinstance(s, stages.Color)
                 for s in policies.build('crop_flip').stages(64))


def on_canvas(images, side, rest=0):
  """Images of any shape in the top left of canvases, and their valid_sizes."""
  canvas = np.full((len(images), side, side, 3), rest, np.uint8)
  for i, image in enumerate(images):
    canvas[i, :image.shape[0], :image.shape[1]] = image
  return canvas, np.array([x.shape[:2] for x in images], np.int32)


SHAPES = ((20, 20), (20, 9), (7, 20), (1, 20), (20, 1), (2, 3), (1, 1), (13, 12))


# Without colours and blur, which only see what was cut out.
@pytest.mark.parametrize('recipe,fields', [
    ('simclr_v2', {'strength': 0., 'blur': 0.}), ('torchvision', {'strength': 0.}),
    ('rotnet', {}), ('none', {'proportion': .875}), ('compose', {'ops': ('flip',)})])
def test_no_view_ever_sees_the_rest_of_a_canvas(recipe, fields):
  random = np.random.default_rng(0)
  images = [random.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES]
  canvas, valid_sizes = on_canvas(images, 20)
  poison = random.integers(0, 256, canvas.shape, np.uint8)
  row, column = np.arange(20)[None, :, None, None], np.arange(20)[None, None, :, None]
  inside = ((row < valid_sizes[:, 0, None, None, None])
            & (column < valid_sizes[:, 1, None, None, None]))
  policy = policies.build(recipe, size=24, **fields)
  make = jax.jit(jax.vmap(
      lambda key, x: views_lib.make((policy,) * 2, key, x, valid_sizes=valid_sizes),
      in_axes=(0, None)))
  keys = jax.random.split(jax.random.key(1), 20)
  clean = np.asarray(make(keys, canvas))
  assert np.isfinite(clean).all() and clean.std() > .1
  np.testing.assert_array_equal(clean, make(keys, np.where(inside, canvas, poison)))


@pytest.mark.parametrize('recipe', ['crop_flip', 'none'])
def test_views_from_a_canvas_are_those_of_the_image_alone(key, recipe):
  policy = policies.build(recipe, size=16)
  keys, make = jax.random.split(key, 8), jax.jit(jax.vmap(policy, (0, None, None)))
  for shape in ((20, 9), (3, 4)):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    canvas, valid_sizes = on_canvas([image], 20)
    np.testing.assert_allclose(make(keys, canvas[0], valid_sizes[0]),
                               make(keys, image, None), atol=1e-5)


@pytest.mark.parametrize('shape', [(40, 30), (25, 46), (48, 48), (3, 5)])
def test_evaluation_enlarges_the_centre_of_the_true_image_as_pil(key, shape):
  y, x = np.mgrid[:shape[0], :shape[1]] / 48
  waves = np.stack([np.sin(9 * x), np.cos(7 * y), np.sin(5 * (x + y))], -1)
  image = np.rint(128 + 80 * waves).astype(np.uint8)
  canvas, valid_sizes = on_canvas([image], 48, rest=255)
  side = round(.875 * min(shape))
  top, left = ((n - side + 1) // 2 for n in shape)
  crop = Image.fromarray(image).crop((left, top, left + side, top + side))
  expected = crop.resize((48, 48), Image.Resampling.BICUBIC)
  view = jax.jit(policies.build('none', size=48))(key, canvas[0], valid_sizes[0])
  np.testing.assert_allclose(view * 255, np.asarray(expected), atol=1.5)


def test_evaluation_of_imagenet_by_hand(key):
  """Of 288 rows and 384 columns, 252 in the middle become 224."""
  image = np.random.default_rng(0).integers(0, 256, (288, 384, 3), np.uint8)
  canvas, valid_sizes = on_canvas([image], 384, rest=255)
  at = (np.arange(224) + .5) * 252 / 224 - .5
  x = np.abs(at[:, None] - np.arange(252)[None])
  keys = np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(
      x < 2, -.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))
  keys /= keys.sum(1, keepdims=True)
  crop = image[18:270, 66:318] / 255
  expected = np.einsum('ih,jw,hwc->ijc', keys, keys, crop, optimize=True)
  view = jax.jit(policies.build('none', size=224))(key, canvas[0], valid_sizes[0])
  np.testing.assert_allclose(view, np.clip(expected, 0, 1), atol=1e-5)


def test_compose_applies_in_order_with_fields(key):
  image = np.random.default_rng(0).random((8, 8, 3), np.float32)
  edges = ('sobel', {'p': 1.})
  inverse = ('solarize', {'p': 1., 'threshold': 0.})
  one = policies.build('compose', ops=[edges, inverse])(key, image)
  other = policies.build('compose', ops=[inverse, edges])(key, image)
  np.testing.assert_allclose(1 - one, other, atol=1e-5)
  assert one.mean() > .5 > other.mean()


@pytest.mark.parametrize('recipe', policies.RECIPES)
def test_a_policy_survives_json_and_hashes(recipe):
  fields = {'size': 16, 'mean': (.5,), 'std': (.25,)}
  if recipe == 'compose':
    fields['ops'] = ('flip', ('crop', {'area': (.2, 1.)}), ('blur', {'p': 1.}))
  policy = policies.build(recipe, **fields)
  again = policies.build(recipe, **json.loads(json.dumps(fields)))
  assert policy == again and hash(policy) == hash(again)


@pytest.mark.parametrize('recipe,fields,message', [
    ('simclr', {}, "recipe is 'simclr'; accepted are .*did you mean 'simclr_v"),
    ('simclr_v2', {'strenght': .5}, "strenght is not a field; did you mean 'strength'"),
    ('simclr_v2', {'strength': -1.}, 'strength is -1.0; accepted is a number from 0'),
    ('simclr_v2', {'sampler': 'tensorflw'}, "did you mean 'tensorflow'"),
    ('simclr_v2', {'style': 'simclr_v3'}, 'style'),
    ('simclr_v2', {'method': 'cubic'}, "did you mean 'bicubic'"),
    ('simclr_v2', {'area': (.5, .1)}, 'area is .* the smaller number first'),
    ('simclr_v2', {'area': (.1, 1.5)}, 'up to 1'),
    ('simclr_v2', {'blur': 2.}, 'blur is 2.0; accepted is a number from 0 to 1'),
    ('simclr_v2', {'size': 0}, 'size is 0; accepted is a whole number from 1'),
    ('simclr_v2', {'mean': (.5,)}, 'mean and config.augment.std go together'),
    ('rotnet', {'pad': -1}, 'pad is -1'),
    ('none', {'proportion': 0.}, 'proportion is 0.0'),
    ('compose', {'ops': ('crop', 'flp')}, "did you mean 'flip'"),
    ('compose', {'ops': (('blur', {'sgma': 1}),)}, "did you mean 'sigma'"),
])
def test_mistakes_are_reported_when_the_policy_is_built(recipe, fields, message):
  with pytest.raises(errors.UserError, match=message):
    policies.build(recipe, **fields)


def test_channels_must_suit_the_normalisation(key, images):
  policy = policies.build('none', mean=(.5,), std=(.2,))
  with pytest.raises(errors.UserError, match='images have 3 channels'):
    policy(key, images[0])


@pytest.mark.parametrize('p', [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize('recipe, fields', [
    ('simclr_v2', {'strength': 0.0, 'area': (0.9, 1.0), 'blur': 0.0}),
    ('rotnet', {'pad': 1})])
def test_recipes_flip_with_their_probability(recipe, fields, p):
  policy = policies.build(recipe, **fields, flip_p=p)
  image = jnp.zeros((16, 16, 1)).at[:, :8].set(1.0)
  views = jax.jit(jax.vmap(policy, (0, None)))(
      jax.random.split(jax.random.key(0), 400), image)
  mirrored = float(jnp.mean(views[:, :, 8:].mean((1, 2, 3))
                            > views[:, :, :8].mean((1, 2, 3))))
  assert abs(mirrored - p) <= 4 * (p * (1 - p) / 400) ** 0.5  # deviations of a binomial


@pytest.mark.parametrize('view, blur, solarize', [('byol_view1', 1., 0.),
                                                  ('byol_view2', .1, .2)])
def test_byol_views_are_those_of_its_table(view, blur, solarize):
  """arXiv:2006.07733, table 6, in the order of the paper's code."""
  steps = policies.build(view).stages(224)
  assert steps[:4] == (
      first_stages.RandomCrop(sampler='byol'), stages.Flip(.5),
      stages.Color(.5, 'byol', .8, .2), stages.Blur(blur, (.1, 2.)))
  assert steps[4:] == ((stages.Solarize(.2, .5),) if solarize else ())


def test_solarize_equals_pil_with_its_probability():
  levels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
  policy = policies.build('crop_flip', area=(1., 1.), ratio=(1., 1.), flip_p=0.,
                          sampler='byol', solarize=.2)
  views = np.asarray(jax.jit(jax.vmap(policy, (0, None)))(
      jax.random.split(jax.random.key(0), 1000), levels))
  theirs = np.asarray(ImageOps.solarize(Image.fromarray(levels), 128))
  solarized = np.abs(views * 255 - theirs).max((1, 2, 3)) < 1e-3
  untouched = np.abs(views * 255 - levels).max((1, 2, 3)) < 1e-3
  assert (solarized | untouched).all()
  assert solarized.mean() == pytest.approx(.2, abs=.04)


def test_recipes_without_solarization_draw_as_before():
  assert len(policies.build('simclr_v2').stages(64)) == 4


def parsed(section):
  return policies.SECTION.parse(section, 'config.augment')


def test_a_section_with_views_shares_the_other_fields():
  section = {'recipe': 'crop_flip', 'size': 16, 'flip_p': 0., 'mean': [.5], 'std': [.2],
             'views': {'b': {'size': 8, 'count': 2}, 'a': {'flip_p': 1.}}}
  first, *others = policies.per_crop(parsed(section), None)
  shared = dict(size=16, mean=(.5,), std=(.2,))
  assert first == policies.build('crop_flip', flip_p=1., **shared)
  assert others == 2 * [policies.build('crop_flip', flip_p=0., **shared | {'size': 8})]
  assert policies.evaluation(parsed(section)) == policies.build('none', **shared)
  one = {k: v for k, v in section.items() if k != 'views'}
  assert policies.per_crop(parsed(one), 2) == 2 * (
      policies.build('crop_flip', flip_p=0., **shared),)


@pytest.mark.parametrize('views, num_crops, message', [
    ({'a': {}}, 2, r'config.augment.views has 1 views \(a\).*makes 2.*give 2'),
    ({'a': {'mean': (0.,), 'std': (1.,)}}, 1,
     'config.augment.views.a.mean is set.*augment.mean'),
    ({'a': {'count': 0}}, None, 'config.augment.views.a.count is 0'),
    ({'a': {'flp_p': 0}}, 1, "did you mean 'flip_p'"),
    (None, None, 'config.augment.views is missing')])
def test_mistakes_about_views_are_explained(views, num_crops, message):
  with pytest.raises(errors.UserError, match=message):
    policies.per_crop(parsed({'recipe': 'crop_flip', 'views': views}), num_crops)


@pytest.mark.parametrize('size', [None, 5])
def test_the_box_is_the_part_that_the_view_shows(images, size):
  policy = policies.build('compose', ops=['crop'], size=size)
  key, image = jax.random.key(3), jnp.float32(images[0]) / 255
  box = policy.box(key, image.shape[:2])
  shape = (size, size) if size else image.shape[:2]
  expected = crop.crop_and_resize(image, box, shape, 'bicubic')
  np.testing.assert_allclose(policy(key, image), jnp.clip(expected, 0, 1), atol=1e-6)
  whole = policies.build('none').box(key, (12, 12), jnp.array([6, 8]))
  assert [float(side) for side in whole] == [0, 1, 6, 6]
