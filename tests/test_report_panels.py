"""Tests the panels of images."""

import io

import fake_pictures
import fake_study
import numpy as np
from matplotlib import figure
from PIL import Image

from ssl_jax.report import panels, read, theme


def test_methods_with_pictures_keep_their_number(tmp_path):
  fake_study.write(tmp_path)
  fake_pictures.write(tmp_path, random=fake_pictures.pictures_of())
  (shown,) = panels.pictured(read.study(tmp_path))
  assert (shown.name, shown.index) == ('random', 1)
  assert panels.names_of_classes([shown]) == ('cat', 'dog', '<i>')


def test_a_mosaic_has_tiles_in_rows_and_gaps():
  tiles = np.arange(3.)[:, None, None] * np.ones((3, 2, 2))
  expected = [[0, 0, -1, 1, 1], [0, 0, -1, 1, 1], [-1] * 5,
              [2, 2, -1, -1, -1], [2, 2, -1, -1, -1]]
  assert panels.mosaic(tiles, 2, 1, -1.).tolist() == expected
  assert panels.enlarged(tiles, 4).shape == (3, 4, 4)


def test_a_sprite_has_every_image_in_its_place():
  images = np.full((5, 6, 4, 1), 250, np.uint8)
  images[3] = 0
  data, columns = panels.sprite(images)
  sheet = np.asarray(Image.open(io.BytesIO(data)).convert('L')).astype(int)
  assert columns == 3 and sheet.shape == (12, 12)
  assert sheet[6:, :4].mean() < 20 and sheet[:6].mean() > 230


def test_an_image_is_drawn_pixel_by_pixel_with_a_frame():
  ax = figure.Figure().subplots()
  panels.image(ax, np.zeros((3, 3, 1), np.uint8), panels.frame(True, theme.LIGHT))
  assert ax.images[0].get_array().shape == (3, 3) and not len(ax.get_xticks())
  assert ax.spines['top'].get_visible()
