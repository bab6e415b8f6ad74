"""Tests data sets by name: built-in ones, TFDS, the real CIFAR-10, and errors."""

import sys

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import datasets

CIFAR10 = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse',
           'ship', 'truck')


def test_splits_are_disjoint_and_follow_the_seed():
  def images(split, seed=0):
    return {x.tobytes() for x in datasets.load('digits', split, split_seed=seed).images}

  train, validation, test = map(images, ('train', 'validation', 'test'))
  assert not train & validation and not train & test and not validation & test
  assert images('validation', seed=1) != validation == images('validation')


def test_label_subset_of_train():
  source = datasets.load('digits', label_subset={'per_class': 3, 'seed': 1})
  assert np.bincount(source.labels).tolist() == [3] * 10
  whole = {x.tobytes() for x in datasets.load('digits').images}
  assert {x.tobytes() for x in source.images} <= whole


def test_real_cifar10(tfds_data_dir):
  def load(split, **fields):
    return datasets.load('cifar10', split, data_dir=tfds_data_dir, **fields)

  train, validation, test = map(load, ('train', 'validation', 'test'))
  assert train.class_names == CIFAR10 and train.image_shape == (32, 32, 3)
  for source, each in ((train, 4500), (validation, 500), (test, 1000)):
    assert np.bincount(source.labels).tolist() == [each] * 10
  assert len(load('train', validation_fraction=0)) == 50_000
  rows = test.read(np.array([9_999, 0, 4_321]))
  np.testing.assert_array_equal(rows.labels, test.labels[[9_999, 0, 4_321]])
  assert rows.images.shape == (3, 32, 32, 3) and rows.mask.all()
  assert rows.images.std() > 20
  assert 'tensorflow' not in sys.modules


@pytest.mark.parametrize('fields,sentence', [
    (dict(name='cifar10'), 'python -m ssl_jax.prepare_data --dataset=cifar10'),
    (dict(name='svhn_cropped'), 'tfds build svhn_cropped'),
    (dict(name='cifar11'), "did you mean 'cifar1"),
    (dict(name='/tmp/photos'), 'write an image folder as folder:/path'),
    (dict(name='mnist:9.9.9'), "'mnist:9.9.9', which is neither a data set in"),
    (dict(name='digits', split='tset'), "did you mean 'test'"),
    (dict(name='digits', image_size=20), 'multiple of 8'),
    (dict(name='digits', channels=5), 'channels is 5'),
    (dict(name='digits', image_size=0), 'image_size is 0'),
    (dict(name='cifar10', canvas=True), 'canvas is True, but config.data.image_size'),
    (dict(name='imagenet2012', image_size=8),
     'tfds build imagenet2012 --file_format=array_record'),
    (dict(name='digits', validation_fraction=2.), 'validation_fraction is 2.0'),
    (dict(name='digits', split='validation', validation_fraction=0), 'no split'),
    (dict(name='digits', num_examples=3), 'num_examples is 3, but only'),
    (dict(name='synthetic', num_example=3), "did you mean 'num_examples'"),
    (dict(name='synthetic', num_examples=3),
     'num_examples is 3, but config.data.num_classes is 4'),
    (dict(name='digits', split='test', label_subset=dict(first_k=1)),
     'training images'),
    (dict(name='digits', label_subset=dict(per_class=999)), 'per_class is 999'),
])
def test_mistakes_are_reported(tmp_path, fields, sentence):
  with pytest.raises(errors.UserError, match=sentence) as e:
    datasets.load(data_dir=str(tmp_path), **fields)
  assert '\n' not in str(e.value)
