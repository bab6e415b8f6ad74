"""Tests that images that do not decode are counted, limited or collected."""

import pytest

from ssl_jax import errors
from ssl_jax.data import bad_images, images


def test_bad_images_are_counted_once_each_and_limited():
  bad = bad_images.BadImages('photos', limit=2)
  for name in ('a.png', 'b.png', 'a.png'):
    bad.add(name, images.BadImage('is torn'))
  assert bad.names == {'a.png', 'b.png'}
  with pytest.raises(errors.UserError, match='max_bad_images.* 2 .*c.png, is torn'):
    bad.add('c.png', images.BadImage('is torn'))


def test_reasons_are_collected_without_a_limit():
  bad = bad_images.Reasons('photos')
  for i in range(100):
    bad.add(f'{i % 50}.png', images.BadImage('is torn'))
  assert bad.reasons == {f'{i}.png': 'is torn' for i in range(50)}
