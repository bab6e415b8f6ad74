"""Tests the random images that replace a data set."""

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.performance import workload


def test_noise_has_the_shape_of_the_data_and_is_not_zero():
  noise = workload.random_images({'name': 'imagenet2012', 'image_size': 64})
  assert len(noise) == 1_281_167 and noise.num_classes == 1000
  images, labels, ok, _ = noise.read(np.array([0, 7, 1_281_166]))
  assert images.shape == (3, 64, 64, 3) and images.dtype == np.uint8 and ok.all()
  assert images.std() > 70 and list(labels[:2]) == [0, 7]  # of uniform bytes: 73.9


def test_the_size_of_images_must_be_known():
  with pytest.raises(errors.UserError, match='config.data.image_size is missing'):
    workload.random_images({'name': 'folder:/photos'})
