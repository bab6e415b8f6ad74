"""Tests the maps: their points, panels and hover texts."""

import fake_pictures
import fake_study
import numpy as np
import pytest

from ssl_jax.report import panels, read, theme
from ssl_jax.report.sections import maps


@pytest.fixture
def shown(tmp_path):
  fake_study.write(tmp_path)
  fake_pictures.write(tmp_path, simclr=fake_pictures.pictures_of(),
                      random=fake_pictures.pictures_of(seed=1))
  return panels.pictured(read.study(tmp_path))


@pytest.mark.parametrize('palette', [theme.LIGHT, theme.DARK.narrow])
def test_points_are_where_the_mouse_finds_them(shown, palette):
  drawing = maps.main(shown)
  fig = drawing.draw(palette)
  for i, (ax, box) in enumerate(zip(fig.axes, drawing.hover.panels(palette),
                                    strict=True)):
    left, top, width, height = box
    pixels = ax.transData.transform(ax.collections[0].get_offsets())
    fractions = pixels / fig.bbox.size
    fractions[:, 1] = 1 - fractions[:, 1]
    expected = np.array([left, top]) + drawing.hover.points[i] * [width, height]
    np.testing.assert_allclose(fractions, expected, atol=1e-6)
    assert 0 <= left and left + width <= 1 and top + height <= 1


def test_maps_are_scaled_without_distortion(shown):
  points = maps.main(shown).hover.points[0]
  original = shown[0].pictures.maps['tsne/pooled']
  ratio = np.ptp(points, 0)[1] / np.ptp(points, 0)[0]
  assert ratio == pytest.approx(np.ptp(original, 0)[1] / np.ptp(original, 0)[0])


def test_hover_texts_name_the_class_and_a_wrong_prediction(shown):
  texts = maps.main(shown).hover.texts[0]
  assert texts[0] == 'cat, so kNN' and texts[5] == '<i>, kNN: cat'


def test_pca_is_shown_unless_all_have_tsne(shown):
  assert maps.kind_of(shown) == 'tsne'
  other = fake_pictures.pictures_of()
  del other.maps['tsne/pooled']
  both = [shown[0], panels.Pictured('b', 1, other)]
  assert maps.kind_of(both) == 'pca' and 'PCA' in maps.main(both).caption


def test_methods_with_other_images_have_no_common_hover(shown):
  other = fake_pictures.pictures_of(indices=np.arange(12) + 1)
  drawing = maps.main([shown[0], panels.Pictured('b', 1, other)])
  assert drawing.hover is None and 'the same images' not in drawing.caption


def test_every_endpoint_has_a_panel(shown):
  titles = [ax.get_title() for ax in maps.by_endpoint(shown).draw(theme.LIGHT).axes]
  assert titles == ['stage1', 'pooled'] * 2
