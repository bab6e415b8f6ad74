"""Random images in the place of a data set, of the same shape and number."""

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
_POOL = 1 << 26  # bytes of different images


class Shape(NamedTuple):
  size: int | None
  num_examples: int
  num_classes: int


# What `datasets.load` would find; None: images differ in size.
_SHAPES = {
    'cifar10': Shape(32, 50_000, 10), 'cifar100': Shape(32, 50_000, 100),
    'digits': Shape(8, 1_438, 10), 'imagenet2012': Shape(None, 1_281_167, 1000),
    'stl10': Shape(96, 5_000, 10), 'svhn_cropped': Shape(32, 73_257, 10),
    'synthetic': Shape(32, 1_024, 4),
}


class RandomImages(sources.Source):
  """Uniform random uint8, labels in turn; reading costs a copy and no decoding.

  A few images are repeated, so that ImageNet's number of them fits in memory.
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
  """Noise like the training images of the section `data` of a config.

  Raises:
    errors.UserError: the size of the images is not known without reading them.
  """
  name = data['name']
  known = _SHAPES.get(name, Shape(None, 50_000, 10))
  size = data.get('image_size') or known.size
  if size is None:
    raise errors.UserError(
        f'config.data.image_size is missing, and the images of {name!r} are not '
        'read here; give it, for example --config.data.image_size=224')
  channels = data.get('channels', 3)
  return RandomImages(
      (size, size, channels), data.get('num_examples', known.num_examples),
      data.get('num_classes', known.num_classes), f'noise like {name}')


def training_run(config: dict[str, Any], data: str) -> training.TrainingRun:
  """The run that `pretrain` would make of a plain config, on the devices here.

  Raises:
    errors.UserError: as `pretrain.run`; `data` is not one of `DATA`.
  """
  errors.lookup('--data', data, dict.fromkeys(DATA))
  config = _without_monitor(config)
  spec = pretrain.parse(config)
  mesh = mesh_lib.data_mesh()
  source = (random_images(config['data']) if data == 'synthetic' else
            datasets.open_split(pretrain.held_out(spec.data, 0.), 'train'))
  feed = feed_lib.make_feed(source, spec.feed, seed=spec.seed, mesh=mesh)
  return pretrain.assemble(spec, config, source, feed, mesh, pathlib.Path(),
                           'benchmark')


def abstract_run(config: dict[str, Any],
                 mesh: jax.sharding.Mesh) -> training.TrainingRun:
  """The same for devices that this host has not got: its feed is streamed."""
  config = _without_monitor(config)
  spec = pretrain.parse(config)
  source = random_images(config['data'])
  feed = streamed.StreamedFeed(source, spec.feed.batch_size, spec.seed, mesh)
  return pretrain.assemble(spec, config, source, feed, mesh, pathlib.Path(),
                           'benchmark')


def _without_monitor(config: dict[str, Any]) -> dict[str, Any]:
  """Evaluations during training are no part of the step, and would read data."""
  return {**config, 'train': {**config['train'], 'knn_every_epochs': 0.0}}
