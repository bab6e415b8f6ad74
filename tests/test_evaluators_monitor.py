"""The kNN monitor watches the endpoint, pool and k that it is given."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.data import base, feed
from ssl_jax.evaluators import monitor
from ssl_jax.train import mesh as mesh_lib


@pytest.fixture
def batches():
  """Of eight flat images that are brighter the higher their label."""
  mesh = mesh_lib.data_mesh()
  def of(labels):
    labels = np.array(labels, np.int32)
    images = np.broadcast_to(20 * labels[:, None, None, None], (len(labels), 4, 4, 1))
    source = base.Arrays(images.astype(np.uint8), labels, ('0', '1', '2', '3'),
                                 'flat')
    return lambda: feed.eval_batches(source, 8, mesh)
  return of


def encode(variables, batch):
  x = batch['image'].astype(jnp.float32)
  angle = variables * x[:, 0, 0, 0]
  return {'pooled': jnp.ones((len(x), 2)),  # knows nothing
          'map': jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)[:, None, None]}


def test_watches_what_it_is_told_to(batches):
  bank, queries = batches([3, 1, 2, 0, 1, 2, 3, 0]), batches([0, 1, 2, 3])
  scale = jnp.float32(0.02)
  knows = monitor.KnnMonitor(encode, bank, queries, 4, k=2, endpoint='map')
  assert knows(scale) == {'knn/top1': 1.0}
  blind = monitor.KnnMonitor(encode, bank, queries, 4, k=2)
  assert blind(scale) == {'knn/top1': 0.25}  # of equals the lowest class


def test_k_of_one_is_the_nearest_image(batches):
  # Two images of class 2 lie nearer to the query of class 1 than one can outvote.
  bank, queries = batches([1, 2, 2]), batches([1])
  scale = jnp.float32(0.001)
  near = monitor.KnnMonitor(encode, bank, queries, 4, k=1, endpoint='map')
  far = monitor.KnnMonitor(encode, bank, queries, 4, k=3, endpoint='map')
  assert (near(scale), far(scale)) == ({'knn/top1': 1.0}, {'knn/top1': 0.0})
