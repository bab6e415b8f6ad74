"""Translates vision transformers between the names of this library and those of timm.

The names are those of timm's `VisionTransformer`, which DeiT, DINO, MAE and MoCo v3 use
too. Dense kernels are [in, out] here and [out, in] there, and the patch projection is
[k, k, in, out] here and [out, in, k, k] there. Tokens and the position embedding have a
leading axis of 1 there. With registers the position embedding belongs to the patches
alone, as in timm's networks with `no_embed_class=True`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ssl_jax import errors

Tree = Any
Path = tuple[str, ...]  # ('params', 'encoder', 'block1', 'qkv', 'kernel')
# The number of channels and of heads of each network. Arrays do not show the latter.
FORMS = {'vit_tiny': (192, 3), 'vit_small': (384, 6), 'vit_base': (768, 12)}
FIRST = 'patch_embed.proj.weight'
POSITION = ('params', 'encoder', 'stem', 'position')
_TOKENS = {'cls_token': 'class_token', 'reg_token': 'registers',
           'pos_embed': 'position'}
_LAYERS = {'norm1': 'norm1', 'attn.qkv': 'qkv', 'attn.proj': 'proj', 'norm2': 'norm2',
           'mlp.fc1': 'fc1', 'mlp.fc2': 'fc2'}
_MODULES = {'patch_embed.proj': 'encoder/stem/patch', 'norm': 'encoder/norm',
            'head': 'head/dense'}
_BLOCK = re.compile(r'blocks\.(\d+)\.(.*)')
_MOCO_V3 = {'heads': 12}  # of its ViT-S, whose arrays are those of timm's


def is_vit(tensors: Mapping[str, np.ndarray]) -> bool:
  """Returns whether arrays have timm's names of a vision transformer."""
  return FIRST in tensors and 'blocks.0.attn.qkv.weight' in tensors


def to_timm(variables: Tree) -> dict[str, np.ndarray]:
  """Returns the arrays of a vision transformer by timm's names, in its shapes.

  Args:
    variables: {'params', ...} with the module 'encoder', and perhaps a linear 'head'.

  Raises:
    errors.UserError: a layer has no counterpart in timm's vision transformers.
  """
  tensors = {}
  for path, array in traverse_util.flatten_dict(variables).items():
    array = np.asarray(array)
    if path[-1] in _TOKENS.values():
      array = array.reshape(1, -1, array.shape[-1])
    elif array.ndim > 1:
      array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else (1, 0))
    tensors[name(path)] = np.ascontiguousarray(array)
  return tensors


def from_timm(tensors: Mapping[str, np.ndarray]) -> tuple[Tree, list[str]]:
  """Returns variables that have the names and shapes of this library.

  Args:
    tensors: arrays by timm's names.

  Returns:
    {'params', 'batch_stats'} with the modules 'encoder' and, for `head`, 'head'; and
    the names that no vision transformer of this library has.
  """
  flat, unknown = {}, []
  for there, array in tensors.items():
    path = path_of(there)
    if path is None:
      unknown.append(there)
    elif there in _TOKENS:
      flat[path] = array.reshape(array.shape[-1:] if there == 'cls_token'
                                 else array.shape[-2:])
    else:
      flat[path] = array.transpose((2, 3, 1, 0) if array.ndim == 4
                                   else range(array.ndim)[::-1])
  return {'params': {}, 'batch_stats': {}} | traverse_util.unflatten_dict(flat), unknown


def name(path: Path) -> str:
  """Returns timm's name of an array.

  Args:
    path: collection, 'encoder' or 'head', modules and leaf.

  Raises:
    errors.UserError: timm's vision transformers have no such layer.
  """
  for there in _names(path[1:]):
    if path_of(there) == path:
      return there
  raise errors.UserError(
      f'{"/".join(path[1:])} has no name in the vision transformers of timm; vision '
      'transformers and linear classifiers on the endpoint pooled have names there. '
      'Programs hold every network: use --format=jax or --format=onnx to export this '
      'one')


def path_of(there: str) -> Path | None:
  """Returns the path of a name of timm, or None if no layer here matches."""
  if there in _TOKENS:
    return ('params', 'encoder', 'stem', _TOKENS[there])
  module, _, last = there.rpartition('.')
  if found := _BLOCK.fullmatch(module):
    layer = _LAYERS.get(found[2])
    here = layer and f'encoder/block{int(found[1]) + 1}/{layer}'
  else:
    here = _MODULES.get(module)
  if here is None or last not in ('weight', 'bias'):
    return None
  kernel = 'scale' if here.rpartition('/')[2].startswith('norm') else 'kernel'
  return ('params', *here.split('/'), kernel if last == 'weight' else 'bias')


def _names(path: Path) -> list[str]:
  """Returns the names that an array may have there, by its module and leaf."""
  *modules, leaf = path
  here, last = '/'.join(modules), 'bias' if leaf == 'bias' else 'weight'
  names = [there for there, token in _TOKENS.items() if token == leaf]
  names += [f'{there}.{last}' for there, m in _MODULES.items() if m == here]
  if found := re.fullmatch(r'encoder/block(\d+)/(\w+)', here):
    names += [f'blocks.{int(found[1]) - 1}.{there}.{last}'
              for there, layer in _LAYERS.items() if layer == found[2]]
  return names


def model_of(tensors: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
  """Returns the section `model` of a config for a file, or None if it is no such ViT.

  The number of heads is taken as that of timm's network of the same width, except for
  ViT-S of MoCo v3, which has 12 heads instead of 6. It is recognised by a position
  embedding of zeros for the class token, which no training would leave.

  Args:
    tensors: arrays by timm's names.
  """
  if not is_vit(tensors) or not {'cls_token', 'pos_embed'} <= tensors.keys():
    return None
  width, _, patch, other = tensors[FIRST].shape
  blocks = {int(m[1]) for key in tensors if (m := re.match(r'blocks\.(\d+)\.', key))}
  if patch != other or blocks != set(range(len(blocks))):
    return None
  found = {channels: form for form, (channels, _) in FORMS.items()}.get(width)
  registers = tensors['reg_token'].shape[1] if 'reg_token' in tensors else 0
  fixed = not registers and not np.any(tensors['pos_embed'][0, 0])
  return {
      'name': found or 'vit_tiny', 'patch': patch,
      **({} if found else {'width': width / FORMS['vit_tiny'][0]}),
      **({'depth': len(blocks)} if len(blocks) != 12 else {}),
      **({'registers': registers} if registers else {}),
      **(_MOCO_V3 if fixed and found == 'vit_small' else {})}


def heads_of(model: Mapping[str, Any]) -> int | None:
  """Returns the number of heads of a network, or None if it is not of this kind.

  Args:
    model: the section `model` of a config, such as {'name': 'vit_small'}.
  """
  if model['name'] not in FORMS:
    return None
  return model.get('heads', FORMS[model['name']][1])


def side_of(variables: Tree, model: Mapping[str, Any]) -> int:
  """Returns the side in pixels of the square images of a position embedding.

  Args:
    variables: {'params', ...} with the module 'encoder'.
    model: the section `model` of its config.
  """
  vectors = len(traverse_util.flatten_dict(variables)[POSITION])
  return model.get('patch', 16) * math.isqrt(vectors - (not model.get('registers', 0)))
