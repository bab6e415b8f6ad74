"""Translates ResNets between the names of this library and those of torchvision.

timm's resnet18 to resnet152 have the same names and shapes. Kernels are [k, k, in, out]
here and [out, in, k, k] there; dense kernels are [in, out] here and [out, in] there.
Everything else has the same shape and meaning. There, every BatchNorm also has the
entry `num_batches_tracked`, a count of training steps that no computation here needs.

The names also exist for the ResNets for CIFAR, which have three layers, and for stems
of another kind. No class of torchvision has these forms.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ssl_jax import errors

Tree = Any
Path = tuple[str, ...]  # ('params', 'encoder', 'stage1', 'block1', 'conv1', 'kernel')
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of its weights' images
# The blocks of each layer, and whether they are bottlenecks.
_FORMS = {((2, 2, 2, 2), False): 'resnet18', ((3, 4, 6, 3), False): 'resnet34',
          ((3, 4, 6, 3), True): 'resnet50', ((3, 4, 23, 3), True): 'resnet101',
          ((3, 8, 36, 3), True): 'resnet152', ((3, 24, 36, 3), True): 'resnet200',
          **{((n,) * 3, False): f'resnet{6 * n + 2}' for n in (1, 2, 3, 5, 7, 9)}}
PLAIN = ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'resnet200')
_COUNTER = 'num_batches_tracked'
# Leaves of a BatchNorm: the collection here, the name here, the name there.
_NORM = (('params', 'scale', 'weight'), ('params', 'bias', 'bias'),
         ('batch_stats', 'mean', 'running_mean'), ('batch_stats', 'var', 'running_var'))
_DENSE = (('params', 'kernel', 'weight'), ('params', 'bias', 'bias'))
_CONV = (('params', 'kernel', 'weight'),)
_BLOCK = re.compile(r'layer(\d+)\.(\d+)\.(?:((?:conv|bn)\d)|downsample\.([01]))')
_TO_THERE = {4: (3, 2, 0, 1), 2: (1, 0)}
_TO_HERE = {4: (2, 3, 1, 0), 2: (1, 0)}


def to_torchvision(variables: Tree) -> dict[str, np.ndarray]:
  """Returns the arrays of a ResNet by torchvision's names, in its shapes.

  Args:
    variables: {'params', 'batch_stats'} with the module 'encoder', a ResNet, and
      perhaps a linear 'head', which becomes `fc`.

  Raises:
    errors.UserError: a layer has no counterpart in torchvision.
  """
  tensors = {}
  for path, array in traverse_util.flatten_dict(variables).items():
    array = np.asarray(array)
    axes = _TO_THERE.get(array.ndim, range(array.ndim))
    tensors[name(path)] = np.ascontiguousarray(array.transpose(axes))
  return tensors


def from_torchvision(tensors: Mapping[str, np.ndarray]) -> tuple[Tree, list[str]]:
  """Returns variables that have the names and shapes of this library.

  Args:
    tensors: arrays by torchvision's names.

  Returns:
    {'params', 'batch_stats'} with the modules 'encoder' and, for `fc`, 'head'; and the
    names that no ResNet of this library has. Counters of BatchNorm are not among them.
  """
  flat, unknown = {}, []
  for there, array in tensors.items():
    path = path_of(there)
    if path is not None:
      flat[path] = array.transpose(_TO_HERE.get(array.ndim, range(array.ndim)))
    elif not there.endswith(f'.{_COUNTER}'):
      unknown.append(there)
  return {'params': {}, 'batch_stats': {}} | traverse_util.unflatten_dict(flat), unknown


def name(path: Path) -> str:
  """Returns torchvision's name of an array.

  Args:
    path: collection, 'encoder' or 'head', modules and leaf.

  Raises:
    errors.UserError: torchvision has no such layer.
  """
  collection, *modules, leaf = path
  there = _module_there('/'.join(modules))
  if there is not None:
    for where, here, leaf_there in _leaves(there):
      if (where, here) == (collection, leaf):
        return f'{there}.{leaf_there}'
  raise errors.UserError(
      f'{"/".join(path[1:])} has no name in torchvision; ResNets without selective '
      'kernels and linear classifiers on pooled features have names there. Programs '
      'hold every network: use --format=jax or --format=onnx to export this one')


def path_of(there: str) -> Path | None:
  """Returns the path of a torchvision name, or None if no layer here matches."""
  module, _, leaf_there = there.rpartition('.')
  modules = _module_here(module)
  if modules is not None:
    for where, here, leaf in _leaves(module):
      if leaf == leaf_there:
        return (where, *modules.split('/'), here)
  return None


def _leaves(there: str) -> tuple[tuple[str, str, str], ...]:
  """Returns the leaves of a module, by the name that torchvision gives it."""
  if there == 'fc':
    return _DENSE
  last = there.rpartition('.')[2]
  return _NORM if last.startswith('bn') or last == '1' else _CONV


def _module_there(here: str) -> str | None:
  if here == 'head/dense':
    return 'fc'
  if found := re.fullmatch(r'encoder/stem/((?:conv|bn)1)', here):
    return found[1]
  if found := re.fullmatch(
      r'encoder/stage(\d+)/block(\d+)/(?:((?:conv|bn)\d)|shortcut/(conv|bn))', here):
    stage, block, plain, shortcut = found.groups()
    last = plain or f'downsample.{("conv", "bn").index(shortcut)}'
    return f'layer{stage}.{int(block) - 1}.{last}'
  return None


def _module_here(there: str) -> str | None:
  if there == 'fc':
    return 'head/dense'
  if there in ('conv1', 'bn1'):
    return f'encoder/stem/{there}'
  if found := _BLOCK.fullmatch(there):
    layer, block, plain, shortcut = found.groups()
    last = plain or f'shortcut/{("conv", "bn")[int(shortcut)]}'
    return f'encoder/stage{layer}/block{int(block) + 1}/{last}'
  return None


def model_of(tensors: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
  """Returns the section `model` of a config for a file, or None if it is no ResNet.

  Args:
    tensors: arrays by torchvision's names.
  """
  blocks = {(int(m[1]), int(m[2])) for key in tensors
            if (m := re.match(r'layer(\d+)\.(\d+)\.conv1\.weight', key))}
  layers = max((layer for layer, _ in blocks), default=0)
  sizes = tuple(sum(layer == i + 1 for layer, _ in blocks) for i in range(layers))
  found = _FORMS.get((sizes, 'layer1.0.conv3.weight' in tensors))
  if found is None or 'conv1.weight' not in tensors:
    return None
  channels, _, _, k = tensors['conv1.weight'].shape
  width = channels / (64 if layers == 4 else 16)
  stem = {'stem': 'imagenet' if k == 7 else 'cifar'} if layers == 4 else {}
  return {'name': found, **stem, **({'width': width} if width != 1 else {}),
          **_shortcut_of(tensors, layers)}


def _shortcut_of(tensors: Mapping[str, np.ndarray], layers: int) -> dict[str, str]:
  """Returns the form of the shortcuts, unless it is the default of the network."""
  projects = [f'layer{i}.0.downsample.0.weight' in tensors for i in (1, 2)]
  if projects[0] and 'layer1.0.conv3.weight' not in tensors:
    return {'shortcut': 'google'}
  return {'shortcut': 'torch'} if layers == 3 and projects[1] else {}


def class_of(model: Mapping[str, Any]) -> str | None:
  """Returns the class of torchvision that has the form of a network, or None.

  Args:
    model: the section `model` of a config, such as {'name': 'resnet50'}.
  """
  name = model['name']
  if name not in ('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'):
    return None
  return f'torchvision.models.{name}' if not deviation(model) else None


def deviation(model: Mapping[str, Any]) -> str | None:
  """Returns how a network differs from ResNet-18 to 200 of the papers, or None.

  Args:
    model: the section `model` of a config, such as {'name': 'resnet50'}.
  """
  name, shortcut = model['name'], model.get('shortcut', 'torch')
  if name not in PLAIN:
    return f'the network {name!r}'
  if model.get('stem', 'imagenet') != 'imagenet':
    return f'a ResNet with the stem {model["stem"]!r}'
  if model.get('width', 1) != 1:
    return f'a ResNet of width {model["width"]}'
  if model.get('sk_ratio'):
    return 'a ResNet with selective kernels'
  if model.get('max_pool', 'symmetric') != 'symmetric':
    return f'a ResNet with max_pool {model["max_pool"]!r}'
  if shortcut == 'identity' or shortcut == 'google' and name in PLAIN[:2]:
    return f'a {name} with shortcuts of the kind {shortcut!r}'
  return None
