"""Stages: how often they happen, and that one does not wait for another."""

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
