"""Defines a data set whose pixels are the indices of its images."""

import numpy as np

from ssl_jax.data import order, sources

N, B, SEED = 37, 8, 5


class Indexed(sources.Source):
  """Images whose pixels are their index; `asked` lists all that were read.

  Those of `bad` do not decode.
  """

  name, class_names, image_shape = 'fake', ('a',), (2, 3, 1)

  def __init__(self, n=N, bad=()):
    self.labels = np.arange(n, dtype=np.int32) + 100
    self.bad, self.asked = np.array(bad, int), []

  def __len__(self):
    return len(self.labels)

  def read(self, indices):
    self.asked += indices.tolist()
    ok = ~np.isin(indices, self.bad)
    images = np.broadcast_to(indices[:, None, None, None], (len(indices), 2, 3, 1))
    return sources.Examples((images * ok[:, None, None, None]).astype(np.uint8),
                     self.labels[indices], ok)


def assert_is_step(batch, step):
  """Asserts that a batch holds the images and labels of a step, in order."""
  rows = order.Shuffled(N, B, SEED).indices(step)
  np.testing.assert_array_equal(batch['label'], rows + 100)
  np.testing.assert_array_equal(
      batch['image'], np.broadcast_to(rows[:, None, None, None], (B, 2, 3, 1)))
  assert batch['image'].dtype == np.uint8 and batch['label'].dtype == np.int32
