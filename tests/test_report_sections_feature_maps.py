"""Tests the figures of feature maps and filters."""

import fake_pictures
import numpy as np
import pytest

from ssl_jax.report import panels, theme
from ssl_jax.report.sections import feature_maps


@pytest.fixture
def shown():
  return [panels.Pictured('A', 0, fake_pictures.pictures_of()),
          panels.Pictured('B', 1, fake_pictures.pictures_of(seed=1))]


def test_stages_are_rows_and_methods_columns_after_the_image(shown):
  fig = feature_maps.maps(shown).draw(theme.LIGHT)
  drawn = [bool(ax.images) for ax in fig.axes]
  assert drawn == [True, True, True, False, True, True]
  assert [fig.axes[i].get_ylabel() for i in (0, 3)] == ['stage1', 'stage2']
  assert 'stage1 4 x 4, stage2 2 x 2' in feature_maps.maps(shown).caption


def test_each_map_is_scaled_on_its_own(shown):
  ax = feature_maps.maps(shown).draw(theme.LIGHT).axes[1]
  pixels = np.asarray(ax.images[0].get_array().filled(np.nan))
  first = pixels[:32, :32]
  assert first.min() == 0 and first.max() == 1


def test_colour_filters_are_grey_where_they_are_zero():
  kernels = np.zeros((1, 3, 3, 3))
  kernels[0, 0, 0] = 1, -1, 0
  made = fake_pictures.pictures_of(filters=kernels)
  fig = feature_maps.filters([panels.Pictured('A', 0, made)]).draw(theme.LIGHT)
  pixels = fig.axes[0].images[0].get_array()
  assert pixels[0, 0].tolist() == [1, 0, 0.5, 1]
  assert pixels[-1, -1].tolist() == [0.5, 0.5, 0.5, 1]


def test_grey_filters_are_drawn():
  made = fake_pictures.pictures_of(filters=np.ones((2, 3, 3, 1)))
  drawing = feature_maps.filters([panels.Pictured('A', 0, made)])
  assert 'red positive' in drawing.caption and drawing.draw(theme.DARK).axes[0].images
