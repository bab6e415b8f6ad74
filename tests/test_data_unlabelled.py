"""Tests that hidden labels change nothing else."""

import numpy as np

from ssl_jax.data import datasets, unlabelled


def test_images_are_the_same_and_labels_are_hidden(tfds_data_dir):
  cifar = datasets.load('cifar10', 'test', data_dir=tfds_data_dir)
  for source in (datasets.load('digits', 'test'), cifar):
    hidden = unlabelled.hide_labels(source)
    assert len(hidden) == len(source) and hidden.class_names == ()
    assert hidden.image_shape == source.image_shape and not hidden.partly_labelled
    rows = np.array([3, 0])
    found, known = hidden.read(rows), source.read(rows)
    np.testing.assert_array_equal(found.images, known.images)
    assert found.labels.tolist() == [-1, -1] and (known.labels >= 0).all()
    assert (hidden.labels == -1).all() and len(hidden.labels) == len(source)
