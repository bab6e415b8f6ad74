"""Lists the cases of the benchmarks: our configs, without features that peers lack.

A case is a plain config. Our step is built from it as in training. The peer reads the
same dictionary, so that shapes, recipe and optimizer are stated once.
"""

import importlib
from typing import Any, NamedTuple

from ssl_jax import methods, plain_config


class Case(NamedTuple):
  """Describes a case.

  Attributes:
    config: name of the config file.
    model: argument of its `get_config`, if any.
    images: number of images per step on a CPU.
  """
  config: str
  model: str | None
  images: int


CASES = {
    'resnet20': Case('simclr_cifar10', 'resnet20', 64),
    'resnet18': Case('simclr_cifar10', 'resnet18', 16),
    'nin': Case('rotnet_cifar10', None, 32),
    'resnet50': Case('simclr_cifar10', 'resnet50', 8),
    'resnet50x2': Case('simclr_cifar10', 'resnet50x2', 4),
    'resnet50_224': Case('simclr_imagenet', 'resnet50', 4),
}
_STEPS = 128  # the least steps of an epoch, so that a dispatch can have as many
_BYTES = 2**31  # the most bytes of resident images


def config(name: str, images: int | None = None,
           **sections: dict[str, Any]) -> dict[str, Any]:
  """Returns the plain config of a case.

  The data are random images that are resident on the devices. The learning rate is
  constant and small, because there is nothing to learn. The online probe and kNN during
  training are off.

  Args:
    name: a key of `CASES`.
    images: number of images per step, before views; None for the number that a CPU
      trains on in about a second.
    **sections: fields that replace those of the config, by section, such as
      `train={'grad_cache_chunks': 4}`.
  """
  case = CASES[name]
  module = importlib.import_module(f'configs.{case.config}')
  made = plain_config.plain(
      module.get_config(case.model) if case.model else module.get_config())
  images = images or case.images
  side = made['data'].get('image_size') or 32
  enough = max(50_000, _STEPS * images)
  made['data'] |= {'name': 'synthetic', 'image_size': side, 'num_classes': 10,
                   'num_examples': max(images, min(enough, _BYTES // (3 * side**2)))}
  made['model'].pop('bn_groups', None)  # the peers lack it
  made['feed'] = {'batch_size': images, 'mode': 'resident', 'resident_fraction': 1.0}
  made['optim'] |= {'learning_rate': 0.01, 'learning_rate_scaling': 'none',
                    'schedule': 'constant', 'warmup_epochs': 0.,
                    'boundaries_epochs': []}
  made['train'] |= {'online_probe': False, 'knn_every_epochs': 0.}
  for section, fields in sections.items():
    made[section] = made.get(section, {}) | fields
  return made


def views_per_image(config: dict[str, Any]) -> int:
  """Returns how many views the method of a plain config makes of an image."""
  return methods.build(config, num_classes=2).views_per_image
