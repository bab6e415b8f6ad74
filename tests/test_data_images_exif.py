"""Tests the orientation of photographs, and tags that are damaged."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from ssl_jax.data import images


def encode(image, suffix='PNG', **how):
  out = io.BytesIO()
  image.save(out, suffix, **how)
  return out.getvalue()


@pytest.fixture
def rgb():
  return np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


def test_camera_orientation_is_applied(rgb):
  exif = Image.Exif()
  exif[0x0112] = 6  # to be shown rotated by 90 degrees clockwise
  data = encode(Image.fromarray(rgb), exif=exif)
  np.testing.assert_array_equal(images.decode(data, None, 3), np.rot90(rgb, -1))


def test_orientation_counts_before_the_canvas(rgb):
  exif = Image.Exif()
  exif[0x0112] = 6
  data = encode(Image.fromarray(rgb), exif=exif)  # 9 rows, 7 columns; upright 7 and 9
  np.testing.assert_array_equal(images.decode(data, 9, 3, canvas=True),
                                np.rot90(rgb, -1))


def exif_of(*entries):
  """Returns EXIF bytes of entries (tag, type, count, value of 4 or 8 bytes)."""
  table, heap = b'', b''
  start = 8 + 2 + 12 * len(entries) + 4
  for tag, kind, count, value in entries:
    if len(value) > 4:
      value, heap = struct.pack('<I', start + len(heap)), heap + value
    table += struct.pack('<HHI', tag, kind, count) + value
  return (b'Exif\0\0II*\0' + struct.pack('<IH', 8, len(entries)) + table
          + bytes(4) + heap)


UPRIGHT = {  # by the definition of EXIF 2.3: where row 0 and column 0 are
    1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1], 5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: lambda x: x.swapaxes(0, 1)[::-1]}


@pytest.mark.parametrize('orientation', UPRIGHT)
@pytest.mark.parametrize('suffix', ['PNG', 'TIFF'])
def test_every_orientation(rgb, orientation, suffix):
  exif = Image.Exif()
  exif[0x0112] = orientation
  np.testing.assert_array_equal(
      images.decode(encode(Image.fromarray(rgb), suffix, exif=exif), None, 3),
      UPRIGHT[orientation](rgb))


@pytest.mark.parametrize('entry', [
    (0x11a, 10, 1, struct.pack('<ii', -1, 0)),
    (0x11a, 12, 1, struct.pack('<d', np.nan)),
    (0x132, 2, 99_999, bytes(4)), (0x8769, 4, 1, b'\xff' * 4)])
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_an_odd_tag_never_fails_a_photo(rgb, entry):
  exif = exif_of((0x112, 3, 1, struct.pack('<HH', 6, 0)), entry)
  np.testing.assert_array_equal(
      images.decode(encode(Image.fromarray(rgb), exif=exif), None, 3),
      np.rot90(rgb, -1))


@pytest.mark.parametrize('exif', [
    b'Exif\0\0', b'Exif\0\0garbage', b'Exif\0\0II*\0' + bytes([8, 0, 0, 0, 255]),
    exif_of((0x112, 3, 1, struct.pack('<HH', 99, 0))),
    exif_of((0x112, 2, 4, b'six\0')),
    exif_of((0x112, 5, 1, struct.pack('<II', 6, 0)))])
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_an_orientation_that_is_none_leaves_a_photo_as_it_is(rgb, exif):
  for suffix in ('PNG', 'WEBP'):
    how = {'lossless': True} if suffix == 'WEBP' else {}
    np.testing.assert_array_equal(
        images.decode(encode(Image.fromarray(rgb), suffix, exif=exif, **how), None, 3),
        rgb)
