"""Tests the data sets that need no download against scikit-learn."""

import numpy as np
from sklearn import datasets as sklearn_datasets
from sklearn import linear_model

from ssl_jax.data import builtin, datasets


def test_digits_are_scikit_learns():
  raw = sklearn_datasets.load_digits()
  train, test = (datasets.load('digits', s, channels=1, validation_fraction=0)
                 for s in ('train', 'test'))
  assert train.image_shape == (8, 8, 1) and train.num_classes == 10
  assert len(train) + len(test) == 1797 and abs(len(test) - 360) <= 5
  both = np.concatenate([train.images, test.images])
  expected = np.rint(raw.images / 16 * 255)
  assert sorted(x.tobytes() for x in both) == sorted(
      x.tobytes() for x in expected.astype(np.uint8))


def test_digits_grow_by_repeating_pixels():
  small, large = (datasets.load('digits', image_size=s).images for s in (8, 16))
  assert large.shape[1:] == (16, 16, 3)
  np.testing.assert_array_equal(large[:, ::2, 1::2], small)
  np.testing.assert_array_equal(large[:, 1::2, ::2], small)
  np.testing.assert_array_equal(large[..., 0], large[..., 2])


def test_synthetic_is_learnable_seeded_and_balanced():
  def load(split, **fields):
    return datasets.load('synthetic', split, image_size=8, num_examples=400,
                        validation_fraction=0, **fields)

  train, test = load('train'), load('test')
  assert train.images.dtype == np.uint8 and train.image_shape == (8, 8, 3)
  assert np.bincount(train.labels).tolist() == [100] * 4 and len(test) == 100
  np.testing.assert_array_equal(train.images, load('train').images)
  assert (train.images != load('train', seed=1).images).any()
  flat = [x.images.reshape(len(x), -1) / 255 for x in (train, test)]
  classifier = linear_model.LogisticRegression().fit(flat[0], train.labels)
  assert classifier.score(flat[1], test.labels) > 0.9


def test_synthetic_has_an_up():
  images = builtin.synthetic('train', 16, num_examples=256).images.astype(float)
  assert images[:, :8].mean() > images[:, 8:].mean() + 5


def test_gray_synthetic_differs_by_orientation_alone():
  source = datasets.load('synthetic', channels=1, num_classes=2, num_examples=64)
  x = source.images[..., 0].astype(float)
  horizontal = np.abs(np.diff(x, axis=2)).mean((1, 2))
  vertical = np.abs(np.diff(x, axis=1)).mean((1, 2))
  np.testing.assert_array_equal(horizontal < vertical, source.labels == 1)


def test_digits_fill_their_canvas():
  plain, canvas = (datasets.load('digits', 'test', image_size=8, canvas=c)
                   for c in (False, True))
  np.testing.assert_array_equal(plain.images, canvas.images)
