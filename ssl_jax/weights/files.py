"""Reads a ResNet from a file of weights, whichever library wrote the file."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from ssl_jax.weights import prefixes, tensor_file, torch_file, torchvision

SUFFIXES = (tensor_file.SUFFIX, *torch_file.SUFFIXES)
Tree = Any


class File(NamedTuple):
  """Holds the network of a file.

  Attributes:
    variables: {'params', 'batch_stats'} with the modules 'encoder' and perhaps 'head'.
    unknown: names of arrays in the file that are of no such module.
    channels: number of channels of the images, or None if it is no known ResNet.
    model: the section `model` of the network, or None if it is no known ResNet.
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
  variables, unknown = torchvision.from_torchvision(found.tensors)
  known = 'mean' in facts and 'std' in facts
  images = {name: facts.get(name) if known else default for name, default in (
      ('mean', torchvision.MEAN), ('std', torchvision.STD))}
  model = torchvision.model_of(found.tensors)
  pool = facts.get('max_pool') or _max_pool_of(facts.get('config') or {})
  if model and pool:
    model['max_pool'] = pool
  return File(variables, [*unknown, *found.others],
              found.tensors['conv1.weight'].shape[1] if model else None, model,
              {**images, 'known': known}, facts.get('config'))


def _max_pool_of(config: Mapping[str, Any]) -> str | None:
  """Returns the max-pool of a run, which its arrays do not show."""
  while 'pretrained' in config:
    config = config['pretrained']
  return config.get('model', {}).get('max_pool')


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
  """Returns what this library recorded; nothing if another one wrote the file."""
  try:
    return {name: json.loads(metadata[name])
            for name in ('mean', 'std', 'config', 'max_pool')
            if name in metadata or name in ('mean', 'std')}
  except (KeyError, json.JSONDecodeError):
    return {}
