"""Tests lists of images: files and arrays are read alike; bad ones are named."""

import numpy as np
import pytest
from PIL import Image

from ssl_jax import errors
from ssl_jax.data import listed

RNG = np.random.default_rng(0)


def read(items, **how):
  source = listed.Listed(items, 'list', **{'image_size': None, 'channels': 3, **how})
  return source.read(np.arange(len(source)))


def test_arrays_keep_their_values():
  arrays = [RNG.integers(0, 256, (6, 5, 3), np.uint8) for _ in range(3)]
  got = read(arrays)
  np.testing.assert_array_equal(got.images, arrays)
  assert got.mask.all() and (got.labels == -1).all()


@pytest.mark.parametrize('shape', [(6, 5), (6, 5, 1)])
def test_gray_arrays_become_rgb_or_stay(shape):
  gray = RNG.integers(0, 256, shape, np.uint8)
  want = gray.reshape(6, 5, 1)
  np.testing.assert_array_equal(read([gray], channels=1).images[0], want)
  np.testing.assert_array_equal(read([gray]).images[0], np.repeat(want, 3, 2))


def test_a_file_and_its_array_are_read_alike(tmp_path):
  array = RNG.integers(0, 256, (20, 10, 4), np.uint8)
  Image.fromarray(array).save(tmp_path / 'a.png')
  for how in ({'image_size': 7}, {'image_size': 16, 'canvas': True}):
    got = read([array, tmp_path / 'a.png', str(tmp_path / 'a.png')], **how)
    np.testing.assert_array_equal(got.images[0], got.images[1])
    np.testing.assert_array_equal(got.images[0], got.images[2])
  np.testing.assert_array_equal(got.valid_sizes, [[16, 8]] * 3)


def test_bad_images_are_collected_and_named(tmp_path):
  (tmp_path / 'a.png').touch()
  items = [np.zeros((4, 4), np.uint8), tmp_path / 'a.png', tmp_path / 'b.png']
  source = listed.Listed(items, 'list', image_size=4, channels=3)
  assert source.read(np.arange(3)).mask.tolist() == [True, False, False]
  assert source.file_names == ['array 0', *map(str, items[1:])]
  source.check_all_decode(np.arange(3))
  with pytest.raises(errors.UserError, match=r'1 of 3 .*b\.png cannot be read'):
    source.check_all_decode(np.array([0, 1]))


def test_a_message_names_twenty_images_at_most():
  source = listed.Listed(['x.png'] * 30, 'list', image_size=4, channels=3)
  with pytest.raises(errors.UserError) as e:
    source.check_all_decode(np.arange(5))
  assert str(e.value).count('x.png') == 20 and 'and 5 more' in str(e.value)
