"""Tests that two splits are read as one, in any order."""

import numpy as np
import pytest

from ssl_jax.data import joined, sources


def source(n, first_label):
  labels = np.arange(first_label, first_label + n, dtype=np.int32)
  images = np.broadcast_to(labels[:, None, None, None], (n, 2, 2, 3)).astype(np.uint8)
  return sources.Arrays(images, labels, ('a', 'b'), 'part')


BOTH = joined.Joined(source(3, 10), source(2, 20), 'part + other')
LABELS = np.array([10, 11, 12, 20, 21])


@pytest.mark.parametrize('indices', [
    [4, 0, 3, 3, 2], [0, 2], [4, 3], [1], []])
def test_rows_come_in_the_order_asked_for(indices):
  indices = np.array(indices, int)
  rows = BOTH.read(indices)
  np.testing.assert_array_equal(rows.labels, LABELS[indices])
  np.testing.assert_array_equal(rows.images[:, 0, 0, 0], LABELS[indices])
  assert rows.mask.all() and rows.images.shape == (len(indices), 2, 2, 3)


def test_is_a_source_like_any_other():
  assert len(BOTH) == 5 and BOTH.num_classes == 2 and BOTH.image_shape == (2, 2, 3)
  np.testing.assert_array_equal(BOTH.labels, LABELS)
  np.testing.assert_array_equal(BOTH.load_into_memory().images[:, 1, 1, 2], LABELS)
  some = sources.subset(BOTH, np.array([3, 1]), 'some')
  np.testing.assert_array_equal(some.read(np.array([0, 1])).labels, [20, 11])


def test_images_of_either_part_keep_their_place_on_a_canvas():
  part = source(3, 10)
  on_canvas = lambda valid_sizes: sources.Arrays(
      part.images, part.labels, part.class_names,
      valid_sizes=np.array(valid_sizes, np.int32))
  both = joined.Joined(on_canvas([[1, 2], [2, 1], [1, 1]]),
                       on_canvas([[2, 2], [1, 2], [2, 1]]), 'x')
  assert both.canvas and not BOTH.canvas
  np.testing.assert_array_equal(both.read(np.array([5, 0, 3])).valid_sizes,
                                [[2, 1], [1, 2], [2, 2]])


def test_what_cannot_be_decoded_is_reported_of_either_part():
  class Broken(sources.Arrays):
    def read(self, indices):
      rows = super().read(indices)
      return rows._replace(mask=rows.labels % 2 == 0)
  first = source(3, 10)
  broken = Broken(first.images, first.labels, first.class_names)
  rows = joined.Joined(broken, source(2, 20), 'x').read(np.array([4, 1, 0, 3]))
  np.testing.assert_array_equal(rows.mask, [True, False, True, True])
