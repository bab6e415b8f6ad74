"""Tests the figure of nearest neighbours and mistakes."""

import fake_pictures
from matplotlib import colors

from ssl_jax.report import panels, theme
from ssl_jax.report.sections import neighbours


def test_a_line_per_query_with_the_class_and_the_mistake():
  drawing = neighbours.neighbours(
      [panels.Pictured('A', 0, fake_pictures.pictures_of())])
  (ax,) = drawing.draw(theme.LIGHT).axes
  assert [t.get_text() for t in ax.texts] == ['cat', 'dog', '<i> → cat, 100 %']
  assert len(ax.images) == 3 * 3 and len(ax.lines) == 1
  assert 'A: <i> → cat, 100 %' in drawing.alt


def test_frames_are_green_for_the_same_class():
  drawing = neighbours.neighbours(
      [panels.Pictured('A', 0, fake_pictures.pictures_of())])
  (ax,) = drawing.draw(theme.LIGHT).axes
  green = colors.to_rgba(panels.frame(True, theme.LIGHT))
  assert [p.get_edgecolor() == green for p in ax.patches] == [
      True, False, True, True, False, False]


def test_images_without_labels_have_neighbours_without_frames():
  made = fake_pictures.pictures_of(classes=())
  drawing = neighbours.neighbours([panels.Pictured('A', 0, made)])
  (ax,) = drawing.draw(theme.DARK.narrow).axes
  assert not ax.patches and 'green' not in drawing.caption
