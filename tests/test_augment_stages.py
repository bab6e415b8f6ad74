"""Tests how often stages happen, and that they draw independently of each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.augment import color, stages


def test_random_apply_happens_with_its_probability():
  keys = jax.random.split(jax.random.key(0), 4000)
  one = lambda _, x: jnp.ones_like(x)
  hits = jax.vmap(lambda k: stages.random_apply(k, .3, one, jnp.zeros(())))(keys)
  assert hits.mean() == pytest.approx(.3, abs=.03)
  assert stages.random_apply(keys[0], 0., one, jnp.zeros(())) == 0
  assert stages.random_apply(keys[0], 1., one, jnp.zeros(())) == 1


def test_gray_does_not_wait_for_jitter():
  image = jnp.asarray(np.random.default_rng(0).random((4, 4, 3), np.float32))
  keys = jax.random.split(jax.random.key(0), 4000)
  views = jax.vmap(lambda k: stages.Color()(k, image))(keys)
  gray = jnp.all(jnp.ptp(views, axis=-1) < 1e-5, axis=(1, 2))
  untouched = jnp.all(views == image[None], axis=(1, 2, 3))
  just_gray = jnp.all(jnp.abs(views - color.grayscale(image)[None]) < 1e-5,
                      axis=(1, 2, 3))
  for seen, p in [(gray, .2), (untouched, .2 * .8), (just_gray, .2 * .2)]:
    assert seen.mean() == pytest.approx(p, abs=.02)


def test_maybe_selects_with_its_probability_and_never_mixes():
  keys = jax.random.split(jax.random.key(1), 4000)
  image, changed = jnp.zeros(3), jnp.ones(3)
  picked = jax.vmap(lambda k: stages.maybe(k, .25, changed, image))(keys)
  assert set(np.unique(picked.sum(1))) == {0, 3}
  assert picked[:, 0].mean() == pytest.approx(.25, abs=.03)
  assert stages.maybe(keys[0], 0, changed, image) is image
  assert stages.maybe(keys[0], 1, changed, image) is changed


@pytest.mark.parametrize('name', stages.BY_NAME)
def test_every_stage_maps_an_image_to_one_of_its_shape_and_can_be_hashed(name, key):
  stage = stages.BY_NAME[name]()
  image = jnp.asarray(np.random.default_rng(0).random((12, 12, 3), np.float32))
  out = jax.jit(stage)(key, image)
  assert out.shape == image.shape and out.dtype == jnp.float32
  assert np.isfinite(out).all() and hash(stage) == hash(stages.BY_NAME[name]())
