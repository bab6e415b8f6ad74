"""Builds the run that is measured, on random images or on the data set itself."""

import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ssl_jax import errors
from ssl_jax.data import datasets, sources, streamed
from ssl_jax.data import feed as feed_lib
from ssl_jax.jobs import pretrain
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import training

DATA = ('synthetic', 'real')
_POOL = 1 << 26  # bytes of all different images


class Shape(NamedTuple):
  """Describes a data set: the side of its images in pixels, and two counts."""
  size: int | None
  num_examples: int
  num_classes: int


# The shapes of the data sets of `datasets.load`; a size of None means several sizes.
_SHAPES = {
    'cifar10': Shape(32, 50_000, 10), 'cifar100': Shape(32, 50_000, 100),
    'digits': Shape(8, 1_438, 10), 'imagenet2012': Shape(None, 1_281_167, 1000),
    'stl10': Shape(96, 5_000, 10), 'svhn_cropped': Shape(32, 73_257, 10),
    'synthetic': Shape(32, 1_024, 4),
}


class RandomImages(sources.Source):
  """A data set of uniform random uint8 images, which are read without decoding.

  Labels are 0, 1, 2, ... in a cycle. A limited number of different images is repeated,
  so that as many images as in ImageNet fit in memory.

  Args:
    image_shape: [H, W, C] of an image.
    num_examples: number of images.
    num_classes: number of classes.
    name: name of the data set.
  """

  def __init__(self, image_shape: tuple[int, int, int], num_examples: int,
               num_classes: int, name: str = 'noise'):
    self.name, self.image_shape = name, image_shape
    self.class_names = tuple(map(str, range(num_classes)))
    self.labels = (np.arange(num_examples) % max(1, num_classes)).astype(np.int32)
    different = min(num_examples, max(1, _POOL // math.prod(image_shape)))
    self._pool = np.random.default_rng(0).integers(
        0, 256, (different, *image_shape), np.uint8)

  def __len__(self) -> int:
    return len(self.labels)

  def read(self, indices: np.ndarray) -> sources.Examples:
    return sources.Examples(self._pool[indices % len(self._pool)], self.labels[indices],
                     np.ones(len(indices), bool))


def random_images(data: Mapping[str, Any]) -> RandomImages:
  """Returns random images of the shape and number of a data set's training images.

  Args:
    data: section `data` of a plain config.

  Raises:
    errors.UserError: the size of the images is not known without reading them.
  """
  name = data['name']
  known = _SHAPES.get(name, Shape(None, 50_000, 10))
  size = data.get('image_size') or known.size
  if size is None:
    raise errors.UserError(
        f'config.data.image_size is missing, and the images of {name!r} are not read '
        'to find their size; set it, for example --config.data.image_size=224')
  channels = data.get('channels', 3)
  return RandomImages(
      (size, size, channels), data.get('num_examples', known.num_examples),
      data.get('num_classes', known.num_classes), f'noise like {name}')


def training_run(config: dict[str, Any], data: str) -> training.TrainingRun:
  """Builds the run that `pretrain` builds from a plain config, on the local devices.

  Args:
    config: plain config of `pretrain`.
    data: 'synthetic' for random images, or 'real' for the data set.

  Raises:
    errors.UserError: the config is not accepted, or `data` is not one of `DATA`.
  """
  errors.lookup('--data', data, dict.fromkeys(DATA))
  config = _without_online_knn(config)
  spec = pretrain.parse(config)
  mesh = mesh_lib.data_mesh()
  source = (random_images(config['data']) if data == 'synthetic' else
            datasets.open_split(datasets.held_out(spec.data, 0.), 'train'))
  feed = feed_lib.make_feed(source, spec.feed, seed=spec.seed, mesh=mesh)
  return pretrain.assemble(spec, config, source, feed, mesh, pathlib.Path(),
                           'benchmark')


def abstract_run(config: dict[str, Any],
                 mesh: jax.sharding.Mesh) -> training.TrainingRun:
  """Builds such a run for devices that this host need not have; its feed is streamed.

  Args:
    config: plain config of `pretrain`.
    mesh: mesh of the devices.
  """
  config = _without_online_knn(config)
  spec = pretrain.parse(config)
  source = random_images(config['data'])
  feed = streamed.StreamedFeed(source, spec.feed.batch_size, spec.seed, mesh)
  return pretrain.assemble(spec, config, source, feed, mesh, pathlib.Path(),
                           'benchmark')


def _without_online_knn(config: dict[str, Any]) -> dict[str, Any]:
  """Switches off evaluations during training, which would read the data set."""
  return {**config, 'train': {**config['train'], 'knn_every_epochs': 0.0}}
