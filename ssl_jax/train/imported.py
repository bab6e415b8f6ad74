"""Makes an encoder of a file of weights, without a run.

The architecture follows from the names and shapes of the arrays. The preprocessing is
that of the run if `jobs.export` wrote the file, and otherwise that of torchvision.
"""

import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from ssl_jax import errors, methods
from ssl_jax.weights import files, matching, timm_vit

Tree = Any
# Sides in pixels of the images and of their centre that is the input, as torchvision
# has them; networks with a stem for CIFAR read images of 32 pixels without a crop.
_IMAGE, _INPUT, _CIFAR = 256, 224, 32


class Imported(NamedTuple):
  """Holds an encoder, as `compression.artefact.Artefact` does.

  Attributes:
    variables: NumPy arrays, as `method.encoder_variables` returns them.
    meta: 'config', the plain config that the network is built from, and 'step'.
    digest: SHA-256 of the arrays, hexadecimal.
  """
  variables: Tree
  meta: dict[str, Any]
  digest: str


def is_imported(path: pathlib.Path) -> bool:
  """Returns whether a path is a file of weights."""
  return files.is_file(path) and not path.is_dir()


def read(path: pathlib.Path) -> Imported:
  """Reads the encoder of a file. A classifier or projector in it is not used.

  Args:
    path: a file with a suffix of `weights.files.SUFFIXES`.

  Raises:
    errors.UserError: the file cannot be read, or it holds no known ResNet or ViT.
  """
  file = files.read(path)
  if file.model is None:
    raise errors.UserError(
        f'--checkpoint={path} holds no ResNet by the names of torchvision or timm, and '
        'no ViT by those of timm; give the --workdir of a run')
  config = _config(file)
  method = methods.build(config, 0)
  shapes = jax.eval_shape(
      lambda key: method.encoder_variables(method.init(
          key, tuple(config['dataset']['image_shape']))), jax.random.key(0))
  found = matching.match(shapes, file.variables)
  if not found.fits:
    differences = ['/'.join(name[1:]) for name in (
        *found.missing, *found.other_shape, *found.surplus)]
    raise errors.UserError(
        f'--checkpoint={path} is not a whole {file.model["name"]}; these arrays are '
        f'missing or have other shapes: {errors.listed(differences, 5)}; give the '
        'whole file, or the --workdir of a run')
  unused = [*('/'.join(path[1:]) for path in found.unused), *file.unknown]
  logging.info('%s is a network %s; arrays that are not used: %s', path, file.model,
               ', '.join(unused) or 'none')
  if not file.images['known']:
    logging.warning(
        '%s does not hold the normalisation of its images; that of torchvision is '
        'used. If it was another one, make a run of the file by python -m '
        'ssl_jax.pretrain --config=configs/imported.py with config.augment.mean and '
        'config.augment.std', path)
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(found.variables):
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return Imported(found.variables, {'config': config, 'step': 0}, digest.hexdigest())


def _config(file: files.File) -> dict[str, Any]:
  """Returns the config of an encoder that no method of this library trains."""
  own: Mapping[str, Any] = file.config or {}
  augment, dataset = own.get('augment', {}), own.get('dataset')
  stem = file.model.get('stem', 'cifar')
  if dataset is None:
    channels = file.channels
    size = _INPUT if stem == 'imagenet' else _CIFAR
    if timm_vit.heads_of(file.model) is not None:
      size = timm_vit.side_of(file.variables, file.model)
    side = size if size <= _CIFAR else size * _IMAGE // _INPUT
    dataset = {'image_shape': [side, side, channels], 'class_names': []}
    augment = {'size': size} if side != size else {}
  return {
      'data': own.get('data', {'name': None}),
      'augment': {'recipe': 'none', 'size': augment.get('size'),
                  'mean': list(file.images['mean']), 'std': list(file.images['std'])},
      'method': {'name': 'simclr'}, 'model': file.model,
      'projector': {'layers': 0},  # has no parameters
      'train': {'precision': own.get('train', {}).get('precision', 'auto')},
      'dataset': {**dataset, 'class_names': []}}
