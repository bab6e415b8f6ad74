"""Tests the figures of views and their similarity."""

import fake_pictures
import numpy as np
import pytest

from ssl_jax.report import panels, theme
from ssl_jax.report.sections import views


def shown(**fields):
  return panels.Pictured('A', 0, fake_pictures.pictures_of(**fields))


def test_methods_with_the_same_views_share_a_panel():
  other = shown(views={'view 1': np.zeros((2, 4, 4, 3), np.uint8)}, boxes={})
  groups = views.distinct([shown(), shown(seed=1), other])
  assert [len(group) for group in groups] == [2, 1]
  fig = views.drawn([shown(), shown(seed=1), other]).draw(theme.LIGHT)
  assert sum(bool(ax.images) for ax in fig.axes) == 2 * 3 + 2 * 2


def test_the_box_of_a_view_has_its_place_and_colour():
  fig = views.drawn([shown()]).draw(theme.LIGHT)
  first, second = fig.axes[0].patches
  assert first.get_xy() == (0.5, 0.5) and first.get_width() == 1  # of 4 pixels
  assert second.get_xy() == (1.5, 1.5) and second.get_height() == 2
  assert first.get_edgecolor() == fig.axes[1].spines['top'].get_edgecolor()


def test_similarities_are_drawn_before_and_after():
  drawing = views.similarity([shown()])
  means = shown().pictures.similarities
  assert f'{means["same/after"].mean():.2f}' in drawing.alt
  axes = [ax for ax in drawing.draw(theme.DARK.narrow).axes if ax.get_visible()]
  assert [ax.get_ylabel() for ax in axes] == ['random weights', 'trained']
  areas = [sum(p.get_height() * p.get_width() for p in ax.containers[0])
           for ax in axes]
  assert areas == pytest.approx([1, 1])
