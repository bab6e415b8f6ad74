"""Tests the views of the pictures: their place, their recipe and their similarity."""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax.data import sources
from ssl_jax.jobs import picture_views
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib


@pytest.fixture(scope='module')
def encoder(tmp_path_factory):
  with stub_encoder.registered():
    run = tiny.pretrained(
        tmp_path_factory.mktemp('run'), model={'name': 'stub'}, seed=3,
        augment={'recipe': 'crop_flip', 'flip_p': 0.0, 'method': 'bilinear',
                 'mean': (0.5,) * 3, 'std': (0.2,) * 3})
    yield encoder_lib.load(run, mesh_lib.data_mesh())


@pytest.fixture(scope='module')
def drawn(encoder):
  # The value of a pixel is its place, so that a view shows where its box lies.
  ramp = np.zeros((6, 8, 8, 3), np.uint8)
  ramp[..., 0] = 30 * np.arange(8)[:, None]
  ramp[..., 1] = 30 * np.arange(8)
  images = sources.Arrays(ramp, np.zeros(6, np.int32), ('a',), 'x')
  return picture_views.draw(encoder, images, seed=0)


def test_boxes_are_the_parts_that_the_views_show(drawn):
  assert len(drawn.views) == 2 and drawn.views[0].shape == (6, 8, 8, 3)
  for view, boxes in zip(drawn.views, drawn.boxes, strict=True):
    top, left, height, width = 8 * boxes.T
    # The mean of a linear ramp over a box is its value in the middle.
    middle = view.astype(float).mean((1, 2)) / 30
    np.testing.assert_allclose(middle[:, 0], top + height / 2 - 0.5, atol=0.1)
    np.testing.assert_allclose(middle[:, 1], left + width / 2 - 0.5, atol=0.1)
  assert not np.array_equal(drawn.boxes[0], drawn.boxes[1])


def test_a_method_with_one_view_draws_it_twice(encoder):
  policies = picture_views.recipes(encoder)
  assert len(policies) == 2 and policies[0].mean is None


def test_the_shown_images_are_evenly_spaced(drawn):
  shown = picture_views.shown(drawn)
  assert list(shown['views']) == ['view 1', 'view 2']
  np.testing.assert_array_equal(shown['views']['view 2'], drawn.views[1][[0, 1, 3, 4]])


def test_untrained_variables_are_those_of_the_first_step(encoder, tmp_path):
  with stub_encoder.registered():
    run = tiny.pretrained(tmp_path, model={'name': 'stub'}, seed=3,
                          train={'epochs': 0})
    random = encoder_lib.load(run, mesh_lib.data_mesh()).variables
  before = picture_views.untrained(encoder)
  for name in ('params', 'batch_stats'):
    found, expected = (jax.tree.leaves(v[name]['encoder']) for v in (before, random))
    for x, y in zip(found, expected, strict=True):
      np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)


def test_equal_views_have_similarity_one(encoder, drawn):
  twice = picture_views.Drawn(drawn.originals, [drawn.views[0]] * 2, drawn.boxes)
  pairs = picture_views.similarities(encoder, picture_views.untrained(encoder), twice)
  np.testing.assert_allclose(pairs.similarities['same/after'], 1, rtol=1e-5)
  assert pairs.alignment['before'] == pytest.approx(0, abs=1e-6)
  assert pairs.similarities['other/after'].mean() < 0.9
