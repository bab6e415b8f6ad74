"""Tests the first stages: the matrices of a central crop against the crop itself."""

import jax
import numpy as np
import pytest

from ssl_jax.augment import first_stages


@pytest.mark.parametrize('proportion, size', [(0.5, None), (1.0, 4), (0.875, 5)])
def test_the_matrices_of_a_central_crop_make_the_same_image(proportion, size):
  stage = first_stages.CenterCrop(size, proportion=proportion)
  image = np.random.default_rng(0).uniform(size=(8, 6, 3)).astype(np.float32)
  rows, columns = stage.matrices((8, 6))
  np.testing.assert_allclose(stage(jax.random.key(0), image),
                             np.einsum('ih,hwc,jw->ijc', rows, image, columns),
                             rtol=1e-5, atol=1e-6)


def test_images_that_a_central_crop_keeps_have_no_matrices():
  assert first_stages.CenterCrop(8).matrices((8, 8)) is None
  assert first_stages.CenterCrop().matrices((8, 6)) is None
