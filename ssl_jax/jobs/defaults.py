"""Chooses the config of a pre-training by the images and a few fields of the user."""

from collections.abc import Mapping
from typing import Any

import jax
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import config_file, errors, methods, models, plain_config
from ssl_jax.data import datasets

_FOLDER_SIZE = 96      # pixels, of images in files, which may have any size
_CIFAR_STEM = 64       # pixels, the largest side for a stem at full resolution
_STEPS_PER_EPOCH = 4   # at least, where the data set is small
_LEAST_BATCH = 8
# The optimizer of MoCo v3 for ViTs (arXiv:2104.02057, section 4.1); LARS suits ResNets.
_VIT_OPTIM = {'name': 'adamw', 'learning_rate': 1.5e-4, 'weight_decay': 0.1,
              'learning_rate_scaling': 'linear'}


def config_for(data: str, *, method: str = 'simclr', model: str = 'resnet18',
               epochs: float = 200., image_size: int | None = None,
               overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
  """Returns the plain config of a pre-training on any images.

  Fields that do not depend on the images are those of configs/<method>_cifar10.py.
  The batch size is that of the file or the largest power of two that leaves four steps
  to an epoch. A queue has at most as many keys as there are images. The warm-up takes
  at most a tenth of the training. Images of up to 64 pixels get the stem 'cifar', and
  larger ones 'imagenet' and the blur of the recipe. A ViT has patches of 4 pixels for
  the former and of 16 for the latter, and the optimizer of MoCo v3's ViTs. A line of
  the log states what was chosen.

  Args:
    data: name of the data set, as in `datasets.DataConfig.NAMES`.
    method: name of the method.
    model: name of the encoder.
    epochs: length of the training.
    image_size: side of the square images in pixels; None is 96 for images in files
      (`datasets.FILE_SCHEMES`), and the size of the images for other data sets.
    overrides: further fields by section, such as {'optim': {'learning_rate': 0.5}}.

  Raises:
    errors.UserError: a name is not accepted, or the data cannot be opened.
  """
  errors.lookup('method', method, methods.METHODS)
  builder = errors.lookup('model', model, models.MODELS)
  overrides = plain_config.plain(overrides or {})
  if image_size is None and data.startswith(datasets.FILE_SCHEMES):
    image_size = _FOLDER_SIZE
  made = plain_config.plain(config_file.load(f'configs/{method}_cifar10.py'))
  made['data'] = {'name': data, **({'image_size': image_size} if image_size else {})}
  made = plain_config.merge(made, {'data': overrides.get('data', {})})
  fields = {'validation_fraction': 0., **made['data']}
  images = datasets.open_split(
      config_lib.build(datasets.DataConfig, fields, 'data'), 'train')
  side = images.image_shape[0]
  small = side <= _CIFAR_STEM
  first = {'stem': 'cifar' if small else 'imagenet', 'patch': 4 if small else 16}
  made['model'] = {'name': model, **{name: value for name, value in first.items()
                                     if name in config_lib.schema(builder)}}
  if 'patch' in made['model']:
    made['optim'] |= _VIT_OPTIM
  if queue := made['method'].get('queue_size'):  # Its keys should be of this encoder.
    made['method']['queue_size'] = min(queue, max(len(images), 2 * _LEAST_BATCH))
  made['feed'] = {'batch_size': _batch_size(made['feed']['batch_size'], len(images))}
  made['train'] |= {'epochs': float(epochs)}
  made['augment'] = _augment(made['augment'], side, data)
  _set_schedule(made, model, epochs)
  made = plain_config.merge(made, overrides)
  logging.info(
      'Defaults for %s images of %d x %d pixels: %d images in a batch, a warm-up of %g '
      'epochs, model %s', f'{len(images):,}', *images.image_shape[:2],
      made['feed']['batch_size'], made['optim'].get('warmup_epochs', 0.), made['model'])
  return made


def _batch_size(most: int, images: int) -> int:
  """Returns a power of two, or the next lower number that the devices can share."""
  batch = 1 << max(0, (images // _STEPS_PER_EPOCH).bit_length() - 1)
  batch = min(most, max(batch, _LEAST_BATCH), images)
  devices = jax.device_count()
  return max(devices, batch // devices * devices)


def _augment(augment: Mapping[str, Any], side: int, data: str) -> dict[str, Any]:
  """Returns the section `augment` without what suits CIFAR-10 alone."""
  unsuited = [*(('mean', 'std') if data != 'cifar10' else ()),
              *(('blur',) if side > 32 else ())]
  return {name: value for name, value in augment.items() if name not in unsuited}


def _set_schedule(made: dict[str, Any], model: str, epochs: float) -> None:
  """Fits the schedule to the epochs, and the monitored endpoint to the network."""
  optim, train = made['optim'], made['train']
  if optim['schedule'] == 'step':  # Its boundaries are epochs of a run of 200.
    made['optim'] = optim = {k: v for k, v in optim.items()
                             if k not in ('boundaries_epochs', 'factor')}
    optim |= {'schedule': 'cosine', 'warmup_epochs': 0.}
  optim['warmup_epochs'] = min(optim['warmup_epochs'], epochs / 10)
  if train.get('online_endpoint') == 'block2' and model != 'nin':
    # The last one contains rotations, not classes.
    train['online_endpoint'] = 'block6' if model.startswith('vit') else 'stage2'
