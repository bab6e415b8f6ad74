"""Tests sources: reading, subsets, loading into memory."""

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import datasets, sources


def test_materialise_equals_read(tfds_data_dir):
  source = datasets.load('cifar10', data_dir=tfds_data_dir,
                         label_subset={'per_class': 60})
  arrays = source.load_into_memory()
  rows = source.read(np.arange(600))
  np.testing.assert_array_equal(arrays.images, rows.images)
  np.testing.assert_array_equal(arrays.labels, source.labels)


@pytest.mark.parametrize('name', ['digits', 'synthetic'])
def test_images_without_file_names_are_in_no_list(name, tmp_path):
  (tmp_path / 'list.txt').write_text('a')
  with pytest.raises(errors.UserError, match=f'{name}/train has no file names'):
    datasets.load(name, label_subset={'file_list': str(tmp_path / 'list.txt')})


class Letters(sources.Source):
  """A source of images of one pixel with file names; odd ones do not decode."""
  name, class_names, image_shape = 'letters', ('a', 'b'), (1, 1, 1)

  def __init__(self, n):
    self.labels = (np.arange(n) % 2).astype(np.int32)

  def __len__(self):
    return len(self.labels)

  @property
  def file_names(self):
    return [f'{i}.png' for i in range(len(self))]

  def read(self, indices):
    mask = indices % 2 == 0
    return sources.Examples((indices * mask).astype(np.uint8).reshape(-1, 1, 1, 1),
                            self.labels[indices], mask)


def arrays(n=6, **fields):
  rng = np.random.default_rng(0)
  return sources.Arrays(rng.integers(0, 256, (n, 4, 5, 3), np.uint8),
                        np.arange(n, dtype=np.int32), ('x', 'y'), 'some', **fields)


def test_what_does_not_decode_is_left_out_of_memory():
  loaded = Letters(601).load_into_memory()  # several threads' parts
  np.testing.assert_array_equal(loaded.images.ravel(),
                                np.arange(0, 601, 2).astype(np.uint8))
  assert len(loaded) == 301 and set(loaded.labels.tolist()) == {0}
  assert loaded.class_names == ('a', 'b') and loaded.load_into_memory() is loaded


def test_a_subset_reads_its_own_rows_of_its_parent():
  parent = Letters(10)
  chosen = sources.subset(parent, np.array([8, 1, 4]), 'chosen')
  rows = chosen.read(np.array([2, 0]))
  assert rows.images.ravel().tolist() == [4, 8] and rows.mask.all()
  assert chosen.labels.tolist() == [0, 1, 0] and len(chosen) == 3
  assert chosen.file_names == ['8.png', '1.png', '4.png'] and chosen.name == 'chosen'
  assert (chosen.class_names, chosen.image_shape) == (('a', 'b'), (1, 1, 1))


def test_a_subset_of_arrays_is_arrays():
  sizes = np.stack([1 + np.arange(6) % 4, 1 + np.arange(6) % 5], 1).astype(np.int32)
  whole = arrays(valid_sizes=sizes)
  few = sources.subset(whole, np.array([5, 0]), 'few')
  assert isinstance(few, sources.Arrays) and few.canvas
  assert few.labels.tolist() == [5, 0]
  np.testing.assert_array_equal(few.images, whole.images[[5, 0]])
  np.testing.assert_array_equal(few.valid_sizes, sizes[[5, 0]])


def test_blank_rows_are_masked_and_as_large_as_the_canvas():
  blank = arrays().blank(2)
  assert blank.images.shape == (2, 4, 5, 3) and not blank.images.any()
  assert blank.labels.tolist() == [-1, -1] and not blank.mask.any()
  assert blank.valid_sizes is None
  on_canvas = arrays(valid_sizes=np.ones((6, 2), np.int32)).blank(2)
  assert on_canvas.valid_sizes.tolist() == [[4, 5], [4, 5]]


def test_rows_are_put_where_an_index_says_and_taken_from_there():
  source = arrays()
  rows = source.blank(4)
  rows.put(np.array([3, 1]), source.read(np.array([0, 5])))
  assert rows.labels.tolist() == [-1, 5, -1, 0]
  assert rows.mask.tolist() == [False, True, False, True]
  np.testing.assert_array_equal(rows.take(rows.mask).images, source.images[[5, 0]])


def test_the_fingerprint_follows_labels_names_and_choice():
  same = [Letters(6).fingerprint, Letters(6).fingerprint]
  assert same[0] == same[1] and same[0]['images'] == 6
  other = Letters(6)
  other.labels = 1 - other.labels
  assert other.fingerprint['labels'] != same[0]['labels']
  first, second = (sources.subset(Letters(6), np.array(chosen), 'x').fingerprint
                   for chosen in ([0, 1], [1, 0]))
  assert first['selection'] != second['selection'] and first['images'] == 2
  assert 'file_names' in same[0] and 'file_names' not in arrays().fingerprint


def test_sizes_in_bytes_and_classes():
  source = arrays()
  assert (source.nbytes, source.num_classes) == (6 * 4 * 5 * 3, 2)
  assert source.description['image_shape'] == [4, 5, 3]
