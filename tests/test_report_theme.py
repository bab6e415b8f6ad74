"""Tests that figures are drawn in both palettes, readable and reproducible."""

import dataclasses
import xml.etree.ElementTree as ElementTree

import fake_study
import numpy as np
import pytest
from matplotlib import colors

from ssl_jax.report import read, sections, theme
from ssl_jax.report.sections import curves


@pytest.fixture
def study(tmp_path):
  return read.study(fake_study.write(tmp_path))


@pytest.mark.parametrize('palette', [theme.LIGHT, theme.DARK])
def test_a_palettes_text_colour_is_in_every_figure(study, palette):
  for figure in sections.content(study).figures:
    picture = theme.render(figure, palette, 'svg')
    assert ElementTree.fromstring(picture).tag.endswith('svg')
    assert palette.text.encode() in picture


@pytest.mark.parametrize('suffix', ['svg', 'png'])
def test_the_same_data_gives_the_same_bytes(study, suffix):
  figure = curves.loss(study)
  once = theme.render(figure, theme.LIGHT, suffix)
  assert once == theme.render(figure, theme.LIGHT, suffix)


def test_a_footer_is_written_into_the_image(study):
  figure = curves.loss(study)
  assert b'A warning.' in theme.render(figure, theme.LIGHT, 'svg', 'A warning.')
  assert b'A warning.' not in theme.render(figure, theme.LIGHT, 'svg')


@pytest.mark.parametrize('palette', [theme.LIGHT, theme.DARK])
def test_numbers_can_be_read_on_their_cells(palette):
  def luminance(colour):
    c = np.array(colors.to_rgb(colour))
    c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055)**2.4)
    return c @ [0.2126, 0.7152, 0.0722]

  scale = colors.LinearSegmentedColormap.from_list('', palette.heat)
  for value in np.linspace(0, 1, 21):
    ground = scale(value)
    a, b = sorted((luminance(theme.text_color_on(ground)), luminance(ground)))
    assert (b + 0.05) / (a + 0.05) > 5  # WCAG asks for 4.5


def test_narrow_figures_have_fewer_columns(study):
  assert theme.LIGHT.columns(3, 2.2) == 3 and theme.LIGHT.columns(2, 2.2) == 2
  assert theme.DARK.narrow.columns(3, 2.2) == 1 and theme.DARK.narrow.dark
  fig = curves.loss(study).draw(theme.LIGHT.narrow)
  assert fig.get_figwidth() == theme.NARROW


def test_classes_have_different_colours():
  for classes in (10, 20, 50):
    assert len({theme.class_color(i, classes) for i in range(classes)}) == classes


def test_the_heading_is_the_title_or_the_beginning_of_the_caption(study):
  figure = curves.loss(study)
  assert figure.heading == 'Training loss'
  plain = dataclasses.replace(figure, title='', caption='Some words: and more.')
  assert plain.heading == 'Some words'
