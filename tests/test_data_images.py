"""Decoding of every mode, size and kind of damage, against PIL and by hand."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from ssl_jax import errors
from ssl_jax.data import images


def encode(image, suffix='PNG', **how):
  out = io.BytesIO()
  image.save(out, suffix, **how)
  return out.getvalue()


@pytest.fixture
def rgb():
  return np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


def test_rgb_png_is_returned_as_it_is(rgb):
  np.testing.assert_array_equal(
      images.decode(encode(Image.fromarray(rgb)), None, 3), rgb)


def test_gray_is_repeated(rgb):
  gray = rgb[..., 0]
  data = encode(Image.fromarray(gray))
  np.testing.assert_array_equal(
      images.decode(data, None, 3), np.stack([gray] * 3, -1))
  np.testing.assert_array_equal(images.decode(data, None, 1)[..., 0], gray)


def test_colour_to_gray_is_itu_601(rgb):
  luma = rgb.astype(float) @ [0.299, 0.587, 0.114]
  gray = images.decode(encode(Image.fromarray(rgb)), None, 1)[..., 0]
  assert np.abs(gray - luma).max() <= 1


def test_palette():
  image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), 'P')
  colours = np.array([[255, 0, 0], [0, 200, 0], [1, 2, 3]], np.uint8)
  image.putpalette(colours.tobytes())
  np.testing.assert_array_equal(
      images.decode(encode(image), None, 3), colours[[[0, 1], [2, 1]]])


def test_sixteen_bits_keep_the_high_byte():
  deep = np.array([[0, 255, 256], [4096, 65535, 32768]], np.uint16)
  np.testing.assert_array_equal(
      images.decode(encode(Image.fromarray(deep)), None, 1)[..., 0], deep >> 8)


def test_transparency_shows_white():
  rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8)
  np.testing.assert_array_equal(
      images.decode(encode(Image.fromarray(rgba)), None, 3),
      [[[10, 20, 30], [255, 255, 255]]])


def test_cmyk_jpeg():
  cmyk = Image.new('CMYK', (16, 16), (0, 255, 255, 0))  # red ink
  pixels = images.decode(encode(cmyk, 'JPEG', quality=100), None, 3)
  assert np.abs(pixels.astype(int) - [255, 0, 0]).max() <= 3


def test_camera_orientation_is_applied(rgb):
  exif = Image.Exif()
  exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
  data = encode(Image.fromarray(rgb), exif=exif)
  np.testing.assert_array_equal(images.decode(data, None, 3), np.rot90(rgb, -1))


@pytest.mark.parametrize('width,height', [(48, 16), (16, 48), (16, 16)])
def test_resize_is_shorter_side_then_centre_crop(width, height):
  random = np.random.default_rng(1)
  image = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
  shorter = image.resize((width // 2, height // 2), Image.Resampling.BICUBIC)
  left, top = (shorter.width - 8) // 2, (shorter.height - 8) // 2
  expected = shorter.crop((left, top, left + 8, top + 8))
  np.testing.assert_array_equal(images.decode(encode(image), 8, 3), expected)


@pytest.mark.parametrize('size, shrunk', [
    ((48, 16), (12, 4)), ((16, 48), (4, 12)), ((24, 24), (12, 12)), ((31, 17), (12, 7)),
    ((12, 5), (12, 5)), ((3, 7), (3, 7)), ((1, 1), (1, 1)), ((500, 3), (12, 1))])
def test_a_canvas_takes_the_whole_image_and_never_enlarges_it(size, shrunk):
  random = np.random.default_rng(1)
  image = Image.fromarray(random.integers(0, 256, size[::-1] + (3,), np.uint8))
  expected = image.resize(shrunk, Image.Resampling.BICUBIC)
  pixels = images.decode(encode(image), 12, 3, canvas=True)
  np.testing.assert_array_equal(pixels, expected)


def test_orientation_counts_before_the_canvas(rgb):
  exif = Image.Exif()
  exif[0x0112] = 6
  data = encode(Image.fromarray(rgb), exif=exif)  # 9 rows, 7 columns; upright 7 and 9
  np.testing.assert_array_equal(images.decode(data, 9, 3, canvas=True),
                                np.rot90(rgb, -1))


@pytest.mark.parametrize('side, canvas, decoded', [
    (16, True, (32, 20)), (17, True, (64, 40)), (33, True, (128, 80)),
    (65, True, (256, 160)), (10, False, (32, 20)), (20, False, (64, 40))])
def test_a_jpeg_is_decoded_at_twice_what_is_wanted_or_more(side, canvas, decoded,
                                                           monkeypatch):
  """An image of 256 x 160; on a canvas its longer side counts, cut the shorter."""
  seen = []
  load = ImageFile.ImageFile.load
  monkeypatch.setattr(ImageFile.ImageFile, 'load',
                      lambda self: (seen.append(self.size), load(self))[1])
  data = encode(Image.new('RGB', (256, 160)), 'JPEG')
  images.decode(data, side, 3, canvas=canvas)
  assert seen[0] == decoded


def test_one_pixel_grows():
  data = encode(Image.new('RGB', (1, 1), (1, 2, 3)))
  assert (images.decode(data, 8, 3) == [1, 2, 3]).all()


def test_reduced_jpeg_decoding_looks_like_full_decoding():
  y, x = np.mgrid[:256, :256]
  smooth = np.stack([x, y, (x + y) // 2], -1).astype(np.uint8)
  data = encode(Image.fromarray(smooth), 'JPEG', quality=95)
  full = Image.open(io.BytesIO(data)).resize((16, 16), Image.Resampling.BICUBIC)
  difference = images.decode(data, 16, 3).astype(int) - np.asarray(full)
  assert np.abs(difference).max() <= 3


@pytest.mark.parametrize('damage', [
    lambda d: b'', lambda d: b'<html>', lambda d: d[:len(d) // 2],
    lambda d: d[:40] + b'\0' * 20 + d[60:]])
@pytest.mark.parametrize('suffix', ['PNG', 'JPEG'])
def test_damaged_bytes(rgb, suffix, damage):
  data = damage(encode(Image.fromarray(rgb), suffix))
  try:
    images.decode(data, None, 3)
  except images.BadImage:
    return
  # JPEG has no checksums: zeros in a table can decode to something.
  assert suffix == 'JPEG' and len(data) > 60


def test_bad_images_are_counted_once_each_and_limited():
  bad = images.BadImages('photos', limit=2)
  for name in ('a.png', 'b.png', 'a.png'):
    bad.add(name, ValueError('torn'))
  assert bad.names == {'a.png', 'b.png'}
  with pytest.raises(errors.UserError, match='max_bad_images.* 2 .*c.png: torn'):
    bad.add('c.png', ValueError('torn'))
