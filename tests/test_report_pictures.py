"""Tests that the file of pictures returns what was written."""

import dataclasses
from collections.abc import Mapping

import fake_pictures
import numpy as np

from ssl_jax.report import pictures


def test_what_is_saved_is_loaded_in_the_same_order(tmp_path):
  for made in (fake_pictures.rotated(), fake_pictures.pictures_of(classes=())):
    pictures.save(tmp_path / 'a.npz', made)
    found = pictures.load(tmp_path / 'a.npz')
    for field in dataclasses.fields(made):
      value, other = getattr(made, field.name), getattr(found, field.name)
      if isinstance(value, Mapping):
        assert list(value) == list(other)
        assert all(np.array_equal(value[k], other[k]) for k in value)
      else:
        assert type(value) is type(other) or np.isscalar(value)
        np.testing.assert_array_equal(value, other)


def test_a_file_that_cannot_be_used_is_no_file(tmp_path):
  assert pictures.load(tmp_path / 'none.npz') is None
  (tmp_path / 'text.npz').write_text('no pictures')
  assert pictures.load(tmp_path / 'text.npz') is None
  np.savez(tmp_path / 'other.npz', indices=np.arange(3))
  assert pictures.load(tmp_path / 'other.npz') is None


def test_names_and_predictions():
  made = fake_pictures.pictures_of()
  assert [made.name(k) for k in (-1, 0, 2, 3)] == ['', 'cat', '<i>', '']
  assert np.flatnonzero(made.predictions != made.labels).tolist() == [5]


def test_pictures_of_other_images_are_detected():
  made = fake_pictures.pictures_of()
  assert made.shows_the_same_images(fake_pictures.pictures_of(seed=1))
  assert not made.shows_the_same_images(
      fake_pictures.pictures_of(indices=np.arange(12) + 1))
