"""Reads a ResNet or a ViT from a file of weights, whichever library wrote the file."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from ssl_jax.weights import prefixes, tensor_file, timm_vit, torch_file, torchvision

SUFFIXES = (tensor_file.SUFFIX, *torch_file.SUFFIXES)
Tree = Any


class File(NamedTuple):
  """Holds the network of a file.

  Attributes:
    variables: {'params', 'batch_stats'} with the modules 'encoder' and perhaps 'head'.
    unknown: names of arrays in the file that are of no such module.
    channels: number of channels of the images, or None if the network is not known.
    model: the section `model` of the network, or None if it is not known.
    images: 'mean' and 'std' of the images that the network was trained on, and 'known',
      which is False if the file does not hold them; they are torchvision's then.
    config: the plain config of the run that the file is of, or None.
  """
  variables: Tree
  unknown: list[str]
  channels: int | None
  model: dict[str, Any] | None
  images: dict[str, Any]
  config: dict[str, Any] | None


def is_file(path: pathlib.Path | str | None) -> bool:
  """Returns whether a path has the suffix of a file of weights."""
  return path is not None and pathlib.Path(path).suffix in SUFFIXES


def read(path: pathlib.Path | str) -> File:
  """Reads a file.

  Args:
    path: a file with a suffix of `SUFFIXES`.

  Raises:
    errors.UserError: the file cannot be read, or it holds several encoders, or the
      CIFAR encoder of solo-learn.
  """
  if pathlib.Path(path).suffix == tensor_file.SUFFIX:
    content = tensor_file.read(path)
  else:
    content = tensor_file.Content(torch_file.read(path), {})
  facts = _facts(content.metadata)
  found = prefixes.find(content.tensors, path, known_padding=bool(facts))
  vit = timm_vit.is_vit(found.tensors)
  variables, unknown = (timm_vit.from_timm if vit else torchvision.from_torchvision)(
      found.tensors)
  known = 'mean' in facts and 'std' in facts
  images = {name: facts.get(name) if known else default for name, default in (
      ('mean', torchvision.MEAN), ('std', torchvision.STD))}
  model = (timm_vit if vit else torchvision).model_of(found.tensors)
  if model:
    model |= _not_in_arrays(facts, vit)
  first = found.tensors[timm_vit.FIRST if vit else 'conv1.weight'] if model else None
  return File(variables, [*unknown, *found.others], model and first.shape[1], model,
              {**images, 'known': known}, facts.get('config'))


def _not_in_arrays(facts: Mapping[str, Any], vit: bool) -> dict[str, Any]:
  """Returns the fields of a network that its arrays do not show."""
  config = facts.get('config') or {}
  while 'pretrained' in config:
    config = config['pretrained']
  own = config.get('model', {})
  if vit:
    return {'heads': timm_vit.heads_of(own)} if own else {}
  pool = facts.get('max_pool') or own.get('max_pool')
  return {'max_pool': pool} if pool else {}


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
  """Returns what this library recorded; nothing if another one wrote the file."""
  try:
    return {name: json.loads(metadata[name])
            for name in ('mean', 'std', 'config', 'max_pool')
            if name in metadata or name in ('mean', 'std')}
  except (KeyError, json.JSONDecodeError):
    return {}
