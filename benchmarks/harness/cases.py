"""Lists what is compared: our own configs, cut down to what both sides can do.

A case is a plain config. Ours is built from it as training would be, the peer reads
the same dictionary, so that shapes, recipe and optimizer are stated once.
"""

import importlib
from typing import Any, NamedTuple

from ssl_jax import methods, plain_config


class Case(NamedTuple):
  """A config file, the argument of its `get_config`, images per step on a CPU."""
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
_STEPS = 128  # in an epoch at least, so that one dispatch can hold as many
_BYTES = 2**31  # of resident images at most


def config(name: str, images: int | None = None,
           **sections: dict[str, Any]) -> dict[str, Any]:
  """The plain config of a case.

  The data set is as resident noise, the learning rate constant and small (noise is
  all there is to learn), and what watches training is off: the online probe, kNN.

  Args:
    name: a key of `CASES`.
    images: per step, before views; None for what a CPU does in about a second.
    **sections: fields over those of the config, `train={'grad_cache_chunks': 4}`.
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
  made['model'].pop('bn_groups', None)  # the peer has none
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
