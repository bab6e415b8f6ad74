"""Tests that the online kNN uses its endpoint, pool and k on held-out images."""

import logging
import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ssl_jax import config
from ssl_jax.data import datasets, feed, sources
from ssl_jax.evaluators import online_knn
from ssl_jax.jobs import monitor
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import training


@pytest.fixture
def batches():
  """Returns a function that makes batches of images, brighter for higher labels."""
  mesh = mesh_lib.data_mesh()
  def of(labels):
    labels = np.array(labels, np.int32)
    images = np.broadcast_to(20 * labels[:, None, None, None], (len(labels), 4, 4, 1))
    source = sources.Arrays(images.astype(np.uint8), labels, ('0', '1', '2', '3'),
                                 'flat')
    return lambda: feed.eval_batches(source, 8, mesh)
  return of


def encode(variables, batch):
  x = batch['image'].astype(jnp.float32)
  angle = variables * x[:, 0, 0, 0]
  return {'pooled': jnp.ones((len(x), 2)),  # the same for all images
          'map': jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)[:, None, None]}


def test_uses_its_endpoint(batches):
  bank, queries = batches([3, 1, 2, 0, 1, 2, 3, 0]), batches([0, 1, 2, 3])
  scale = jnp.float32(0.02)
  knows = online_knn.OnlineKnn(encode, bank, queries, 4, k=2, endpoint='map')
  assert knows(scale) == {'knn/top1': 1.0}
  blind = online_knn.OnlineKnn(encode, bank, queries, 4, k=2)
  assert blind(scale) == {'knn/top1': 0.25}  # equal votes: the lowest class


def test_k_of_one_is_the_nearest_image(batches):
  # With k = 3, two images of class 2 outvote the nearest one, of class 1.
  bank, queries = batches([1, 2, 2]), batches([1])
  scale = jnp.float32(0.001)
  near = online_knn.OnlineKnn(encode, bank, queries, 4, k=1, endpoint='map')
  far = online_knn.OnlineKnn(encode, bank, queries, 4, k=3, endpoint='map')
  assert (near(scale), far(scale)) == ({'knn/top1': 1.0}, {'knn/top1': 0.0})


def online_knn_of(data, **train):
  """The online kNN that a pre-training run on `data` would have."""
  return monitor.build_online_knn(
      config.build(datasets.DataConfig, data, 'data'),
      training.TrainConfig(epochs=1, knn_every_epochs=1, **train),
      types.SimpleNamespace(encode=None), mesh_lib.data_mesh())


def shown(batches):
  """Returns the images (as bytes) and labels of all batches, without padding."""
  found = [(bytes(np.asarray(image)), int(label)) for batch in batches()
           for image, label, good in zip(batch['image'], batch['label'], batch['mask'],
                                         strict=True) if good]
  return {image for image, _ in found}, [label for _, label in found]


def test_queries_are_held_out_and_the_bank_is_not_test():
  data = {'name': 'digits', 'validation_fraction': 0.25,
          'label_subset': {'per_class': 2}}
  online = online_knn_of(data)
  bank, queries = shown(online.bank)[0], shown(online.queries)[0]
  validation, test = ({bytes(x) for x in datasets.load(
      'digits', split, validation_fraction=0.25).images} for split in ('validation',
                                                                       'test'))
  assert queries == validation and not bank & queries and not (bank | queries) & test
  whole = {bytes(x) for x in datasets.load('digits', validation_fraction=0).images}
  assert bank | queries == whole


@pytest.fixture
def rare(tmp_path):
  """Returns classes of 8, 8 and 1 images, whose pixels are the index of the image."""
  for split, start in (('train', 0), ('test', 100)):
    for c, (name, n) in enumerate((('a', 8), ('b', 8), ('rare', 1))):
      (tmp_path / split / name).mkdir(parents=True)
      for i in range(n):
        Image.new('L', (8, 8), start + 10 * c + i).save(
            tmp_path / split / name / f'{i}.png')
  return {'name': f'folder:{tmp_path}', 'image_size': 8, 'channels': 1}


def test_a_class_of_one_image_stays_in_the_bank(rare, caplog):
  with caplog.at_level(logging.WARNING):
    online = online_knn_of(rare)
  assert sorted(shown(online.bank)[1]) == [0] * 7 + [1] * 7 + [2]
  assert sorted(shown(online.queries)[1]) == [0, 1]
  assert "train: no validation image of class 'rare', whose only image" in caplog.text


def test_without_a_validation_split_there_is_a_warning_and_no_online_knn(rare, caplog):
  with caplog.at_level(logging.WARNING):
    assert online_knn_of({**rare, 'validation_fraction': 0.}) is None
  warning, = caplog.messages
  assert 'continues without the kNN accuracy that config.train.knn_every_epochs=1' in (
      warning)
  assert "no split 'validation'" in warning
  remedy, value = 'config.data.validation_fraction', 0.1
  assert f'{remedy}={value} cuts one from train' in warning
  assert online_knn_of({**rare, 'validation_fraction': value}) is not None


def test_a_small_bank_is_of_all_classes_though_files_are_sorted_by_class(rare):
  online = online_knn_of(rare, knn_examples=5)
  assert shown(online.bank)[1] == [0, 0, 0, 1, 1]
