"""Tests what is computed of the features of test images."""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax.data import sources
from ssl_jax.jobs import picture_features
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib


@pytest.fixture(scope='module')
def encoder(tmp_path_factory):
  """Returns an encoder that predicts rotations."""
  with stub_encoder.registered():
    run = tiny.pretrained(tmp_path_factory.mktemp('run'), model={'name': 'staged'},
                          method={'name': 'rotnet'}, augment={'recipe': 'rotnet'})
    yield encoder_lib.load(run, mesh_lib.data_mesh())


@pytest.fixture(scope='module')
def images():
  pixels = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3)).astype(np.uint8)
  return sources.Arrays(pixels, np.arange(11, dtype=np.int32) % 3, ('a', 'b', 'c'), 'x')


def encode(encoder, images):
  return encoder.method.encode(encoder.variables, {'image': images.images})


def test_endpoints_are_averaged_in_the_order_of_the_network(encoder, images):
  mesh = mesh_lib.data_mesh()
  found = picture_features.encode(encoder.method, encoder.variables, images, mesh=mesh,
                                  batch_size=mesh.size)
  whole = encode(encoder, images)
  # 'far', averaged, is 'pooled', so it has no map of its own.
  assert list(found) == ['near', 'pooled']
  np.testing.assert_allclose(found['near'], whole['near'].mean((1, 2)), rtol=1e-4,
                             atol=1e-6)
  np.testing.assert_allclose(found['pooled'], whole['pooled'], rtol=1e-4, atol=1e-6)


def test_feature_maps_are_those_that_vary_most(encoder, images):
  found = picture_features.feature_maps(encoder, images.read(np.arange(2, 3)))
  whole = np.asarray(encode(encoder, images)['near'][2])
  order = np.argsort(-whole.std((0, 1)), kind='stable')
  np.testing.assert_allclose(found['near'], whole[..., order].transpose(2, 0, 1),
                             rtol=1e-4, atol=1e-6)


def test_first_filters_are_the_kernels_that_read_the_image(encoder):
  kernel = encoder.variables['params']['encoder']['near']['conv']['kernel']
  filters = picture_features.first_filters(encoder)
  np.testing.assert_array_equal(filters[3], np.asarray(kernel)[:, :, :, 3])


def test_thumbnails_keep_the_shape_and_the_mean():
  images = np.zeros((2, 80, 40, 1), np.uint8)
  images[1, :40] = 200
  small = picture_features.thumbnails(images)
  assert small.shape == (2, 40, 20, 1)
  assert small[1, :20].min() == 200 and small[1, 20:].max() == 0
  assert picture_features.thumbnails(small) is small


def test_queries_are_of_several_classes_and_then_the_confident_mistakes(images):
  features = np.eye(3)[images.labels] + 0.01
  features[7] = 0, 0, 1  # of class 1 and near class 2
  found = picture_features.neighbours(features, np.eye(3).repeat(8, 0), images,
      sources.Arrays(np.zeros((24, 8, 8, 3), np.uint8), np.arange(3).repeat(8),
                     images.class_names, 'bank'))
  assert found['own_queries'] == 1 and found['queries'][-1] == 7
  assert found['neighbour_labels'][-1].tolist() == [2] * 6
  assert set(images.labels[found['queries'][:-1]]) == {0, 1, 2}


def test_rotations_are_predicted_by_the_networks_own_head(encoder, images):
  mesh = mesh_lib.data_mesh()
  found = picture_features.rotations(encoder, images, np.array([1, 4]), mesh, mesh.size)
  turned = np.rot90(images.images[4], 3)
  np.testing.assert_array_equal(found['rotated'][1, 3], turned)
  logits = encoder.method.encode(encoder.variables, {'image': turned[None]})['logits']
  np.testing.assert_allclose(found['rotation_probabilities'][1, 3],
                             jax.nn.softmax(logits)[0], rtol=1e-4, atol=1e-6)
  assert found['rotation_accuracy'].shape == (3,)
