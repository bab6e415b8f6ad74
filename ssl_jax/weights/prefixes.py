"""Finds a ResNet or a ViT among the arrays of a checkpoint that other libraries wrote.

| library | names | where |
|---|---|---|
| torchvision, timm, lightly-train | `conv1.weight` | the names themselves |
| lightly, solo-learn | `backbone.conv1.weight` | modules of Lightning |
| solo-learn until 2021 | `encoder.conv1.weight` | |
| MoCo | `module.encoder_q.conv1.weight` | `encoder_k` is its moving average |
| lightly's tutorials | `backbone.0.weight` | `nn.Sequential` of a ResNet's children |
| timm, DINO, MAE | `patch_embed.proj.weight` | ViTs |
| MoCo v3 | `module.base_encoder.patch_embed.proj.weight` | ViTs |

A moving average of the network, such as `momentum_backbone`, is not the encoder.
"""

import json
import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from absl import logging

from ssl_jax import errors
from ssl_jax.weights import timm_vit

# Modules that may hold the encoder, from the outside to the inside.
MODULES = ('module', '_orig_mod', 'model', 'net', 'student', 'backbone', 'encoder',
           'encoder_q', 'base_encoder', 'online_encoder', 'student_backbone', 'resnet')
# The children of a ResNet in `nn.Sequential`: torchvision has a ReLU and a max-pool
# before its layers, and the ResNets of lightly for CIFAR have none.
_FIRST_LAYER = {'torchvision': 4, 'lightly': 2}
_CHILD = re.compile(r'(\d)\.(.*)')
_SOLO_LEARN = re.compile(r'(classifier|momentum_classifier)\.weight')


class Found(NamedTuple):
  """Holds the arrays of a file, of which some are the encoder.

  Attributes:
    tensors: the arrays of the encoder by the names of torchvision or timm.
    others: the names of all other arrays, as in the file.
  """
  tensors: dict[str, np.ndarray]
  others: list[str]


def find(tensors: Mapping[str, np.ndarray], path: pathlib.Path | str,
         known_padding: bool = False) -> Found:
  """Returns the encoder of a file by the names of torchvision or timm.

  If no first layer of a ResNet or a ViT is found, all names remain as they are.

  Args:
    tensors: arrays by the names in the file.
    path: the file. `args.json` in its folder is read, which solo-learn writes.
    known_padding: whether the first convolution is known to pad by (k-1)/2.

  Raises:
    errors.UserError: the file holds several encoders, or an encoder of solo-learn for
      CIFAR, whose first convolution no network of this library has.
  """
  prefixes = sorted({prefix for name in tensors for prefix in _prefixes(name)})
  if not prefixes:
    return Found(dict(tensors), [])
  if len(prefixes) > 1:
    raise errors.UserError(
        f'{path} holds {len(prefixes)} encoders, {", ".join(map(repr, prefixes))}; '
        'save the arrays of one of them by safetensors.torch.save_file')
  prefix, = prefixes
  inside = {name.removeprefix(prefix): x for name, x in tensors.items()
            if name.startswith(prefix)}
  renamed = _without_numbers(inside)
  if not known_padding and 'conv1.weight' in renamed:
    _check_padding(renamed, tensors, path)
  return Found(renamed, [name for name in tensors if not name.startswith(prefix)])


def _prefixes(name: str) -> list[str]:
  """Returns the prefix of an encoder whose first convolution has this name."""
  for first in ('conv1.weight', timm_vit.FIRST, '0.weight'):
    prefix = name.removesuffix(first)
    modules = prefix.rstrip('.').split('.') if prefix else []
    if prefix != name and all(m in MODULES for m in modules) and (
        first != '0.weight' or modules):
      return [prefix]
  return []


def _without_numbers(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns arrays by the names of layers in place of their numbers.

  The shortcuts of lightly's ResNets for CIFAR get torchvision's name too.
  """
  if '0.weight' not in tensors:
    return dict(tensors)
  kind = 'lightly' if '2.0.conv1.weight' in tensors else 'torchvision'
  first = _FIRST_LAYER[kind]
  names = {0: 'conv1', 1: 'bn1', **{first + i: f'layer{i + 1}' for i in range(4)}}

  def renamed(name):
    if not (child := _CHILD.fullmatch(name)) or int(child[1]) not in names:
      return name
    return f'{names[int(child[1])]}.{child[2]}'.replace('.shortcut.', '.downsample.')
  return {renamed(name): x for name, x in tensors.items()}


def _check_padding(encoder: Mapping[str, np.ndarray], tensors: Mapping[str, np.ndarray],
                   path: pathlib.Path | str) -> None:
  """Refuses a first convolution that pads by 2, as far as that can be known.

  solo-learn trains on CIFAR with a 3x3 convolution that pads by 2, so that all maps are
  two pixels larger. Its arrays have the same names and shapes as others.

  Raises:
    errors.UserError: the file is of solo-learn, and its stem is that of CIFAR.
  """
  if encoder['conv1.weight'].shape[-1] != 3 or '0.weight' in tensors:
    return
  solo_learn = any(_SOLO_LEARN.fullmatch(name) for name in tensors) and any(
      name in tensors for name in ('backbone.conv1.weight', 'encoder.conv1.weight'))
  if solo_learn or 'cifar' in _data_set(path):
    raise errors.UserError(
        f'{path} is a checkpoint of solo-learn with its stem for CIFAR, a 3x3 '
        'convolution that pads by 2, which no network of this library has; train with '
        'padding=1 in solo-learn, or use a checkpoint that it trained on ImageNet')
  logging.warning(
      'The first convolution of %s is 3x3. Its padding is not in the file and is taken '
      'as 1; some implementations, such as solo-learn, pad by 2, and then the features '
      'would be worse', path)


def _data_set(path: pathlib.Path | str) -> str:
  """Returns the data set that solo-learn recorded next to a checkpoint, or ''."""
  try:
    folder = pathlib.Path(path).expanduser().parent
    args = json.loads((folder / 'args.json').read_text())
    data = args.get('data', args)
    return str(data.get('dataset', '') if isinstance(data, dict) else '')
  except (OSError, ValueError, AttributeError):
    return ''
