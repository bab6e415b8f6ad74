"""Tests decoding of modes, sizes and damaged files, against PIL and by hand."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageFile

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


@pytest.mark.parametrize('side, canvas, decoded', [
    (16, True, (32, 20)), (17, True, (64, 40)), (33, True, (128, 80)),
    (65, True, (256, 160)), (10, False, (32, 20)), (20, False, (64, 40))])
def test_a_jpeg_is_decoded_at_twice_what_is_wanted_or_more(side, canvas, decoded,
                                                           monkeypatch):
  """The image has 256 x 160 pixels; the longer side must fit a canvas."""
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


@pytest.mark.parametrize('damage', [lambda d: d[:len(d) // 2], lambda d: d[:-9]])
@pytest.mark.parametrize('suffix', ['TIFF', 'WEBP', 'BMP', 'PPM'])
def test_truncated_files_of_other_formats(rgb, suffix, damage):
  with pytest.raises(images.BadImage) as e:
    images.decode(damage(encode(Image.fromarray(rgb), suffix)), None, 3)
  assert_readable(str(e.value))


def assert_readable(reason):
  assert '0x' not in reason and '\n' not in reason and reason.split()[0] in (
      'is', 'has', 'does', 'cannot')


@pytest.mark.parametrize('how', [{}, {'compression': 'tiff_lzw'}])
def test_tiff_of_eight_and_of_sixteen_bits(rgb, how):
  np.testing.assert_array_equal(
      images.decode(encode(Image.fromarray(rgb), 'TIFF', **how), None, 3), rgb)
  deep = np.array([[0, 255, 256], [4096, 65535, 32768]], np.uint16)
  data = encode(Image.fromarray(deep), 'TIFF', **how)
  np.testing.assert_array_equal(images.decode(data, None, 1)[..., 0], deep >> 8)
  png = encode(Image.fromarray(deep))
  np.testing.assert_array_equal(images.decode(data, 2, 3), images.decode(png, 2, 3))


@pytest.mark.parametrize('suffix', ['TIFF', 'GIF', 'PNG', 'WEBP'])
def test_the_first_of_several_frames_is_read(rgb, suffix):
  first = Image.fromarray(rgb).quantize(8).convert('RGB')
  data = encode(first, suffix, save_all=True,
                append_images=[Image.new('RGB', first.size)] * 2,
                **({'lossless': True} if suffix == 'WEBP' else {}))
  np.testing.assert_array_equal(images.decode(data, None, 3), np.asarray(first))


def test_a_transparent_gif_shows_white():
  image = Image.fromarray(np.array([[0, 1]], np.uint8), 'P')
  image.putpalette([1, 2, 3, 40, 50, 60])
  pixels = images.decode(encode(image, 'GIF', transparency=1), None, 3)
  np.testing.assert_array_equal(pixels, [[[1, 2, 3], [255, 255, 255]]])


@pytest.mark.parametrize('pixels, sentence', [
    (np.ones((2, 2), np.float32), 'has float32 pixels'),
    (np.full((2, 2), 70_000, np.int32), 'has 32-bit integer'),
    (np.full((2, 2), -1, np.int32), 'or negative pixels')])
def test_pixels_without_a_known_range_are_refused(pixels, sentence):
  with pytest.raises(images.BadImage, match=sentence) as e:
    images.decode(encode(Image.fromarray(pixels), 'TIFF'), None, 3)
  assert_readable(str(e.value))


def test_reasons_name_what_is_wrong():
  for data, reason in (
      (b'', '^is empty$'), (b'hello', '^is not an image'),
      (b'P6\n99999 99999\n255\n', r'^does not decode: Image size \(9999800001 pixels')):
    with pytest.raises(images.BadImage, match=reason) as e:
      images.decode(data, None, 3)
    assert_readable(str(e.value))


@pytest.mark.parametrize('error', [
    KeyError('\nx'), IndexError(), struct.error('short'), RecursionError('deep')])
def test_whatever_a_decoder_raises_is_a_bad_image(rgb, monkeypatch, error):
  def fail(self):
    raise error

  monkeypatch.setattr(ImageFile.ImageFile, 'load', fail)
  with pytest.raises(images.BadImage, match=type(error).__name__) as e:
    images.decode(encode(Image.fromarray(rgb)), None, 3)
  assert_readable(str(e.value))


@pytest.mark.parametrize('error', [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize('place', ['load', 'getexif'])
def test_what_is_no_fault_of_the_image_is_raised(rgb, monkeypatch, error, place):
  def fail(self):
    raise error

  monkeypatch.setattr(ImageFile.ImageFile, place, fail)
  with pytest.raises(error):
    images.decode(encode(Image.fromarray(rgb)), None, 3)


@pytest.mark.parametrize('suffix', ['PNG', 'JPEG', 'TIFF', 'GIF', 'WEBP', 'BMP', 'PPM'])
@pytest.mark.filterwarnings('ignore')
def test_random_damage_decodes_or_is_a_bad_image(rgb, suffix):
  random = np.random.default_rng(0)
  whole = encode(Image.fromarray(rgb), suffix)
  for _ in range(60):
    data = bytearray(whole)
    for place in random.integers(0, min(len(data), 200), 4):
      data[place] = random.integers(256)
    try:
      assert images.decode(bytes(data), 8, 3).shape == (8, 8, 3)
    except images.BadImage as e:
      assert_readable(str(e))


def test_a_file_that_cannot_be_read_says_why(tmp_path):
  (tmp_path / 'self.png').symlink_to('self.png')
  (tmp_path / 'folder.png').mkdir()
  for name, reason in (('none.png', 'No such file'), ('self.png', 'Too many levels'),
                       ('folder.png', 'Is a directory')):
    with pytest.raises(images.BadImage, match=f'^cannot be read: {reason}'):
      images.read_file(str(tmp_path / name))


@pytest.mark.parametrize('mode, channels', [('LA', 2), ('RGBA', 4)])
def test_a_last_channel_that_is_no_alpha_keeps_its_values(mode, channels):
  pixels = np.random.default_rng(0).integers(0, 256, (9, 7, channels), np.uint8)
  data = encode(Image.fromarray(pixels, mode))
  np.testing.assert_array_equal(images.decode(data, None, channels), pixels)
  small = images.decode(data, 4, channels)
  for c in range(channels):  # Every channel is resampled by itself.
    alone = images.decode(encode(Image.fromarray(pixels[..., c])), 4, 1)
    np.testing.assert_array_equal(small[..., c], alone[..., 0])
