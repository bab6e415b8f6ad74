"""Finds the kernels in a tree of parameters, and replaces them."""

from collections.abc import Mapping
from typing import Any

import jax
from flax import traverse_util

Tree = Any
Path = tuple[str, ...]
Kernels = dict[Path, jax.Array]  # by the path of each kernel in the tree

# Images have at most this many channels. A network without a module 'stem' (NIN) is
# recognised to read the image by it.
_IMAGE_CHANNELS = 3


def find(params: Tree) -> Kernels:
  """Returns the kernels of all convolutions and dense layers, in the order of paths.

  BatchNorm has no kernel, and biases are vectors, so neither is among them. The order
  is sorted because a tree that went through `jax.jit` comes back sorted.
  """
  return {path: x for path, x in sorted(traverse_util.flatten_dict(params).items())
          if path[-1] == 'kernel' and x.ndim >= 2}


def prunable(params: Tree, *, dense_stem: bool, dense_head: bool) -> Kernels:
  """Returns the kernels that pruning may set to zero.

  The stem is the module 'stem' of the encoder. In an encoder without one, it consists
  of the convolutions that read the image. The head is everything outside of the
  encoder: a classifier, a projection head and a predictor.

  Args:
    params: the parameters of a network.
    dense_stem: whether the stem is left out.
    dense_head: whether the head is left out.
  """
  found = find(params)
  named = any('stem' in path for path in found)
  is_stem = lambda path, x: ('stem' in path if named else
                             x.ndim == 4 and x.shape[2] <= _IMAGE_CHANNELS)
  return {path: x for path, x in found.items()
          if not (dense_head and 'encoder' not in path)
          and not (dense_stem and 'encoder' in path and is_stem(path, x))}


def replace(params: Tree, new: Mapping[Path, Any]) -> Tree:
  """Returns the parameters with the kernels of `new` in place of their own."""
  flat = traverse_util.flatten_dict(params)
  if unknown := new.keys() - flat.keys():
    raise KeyError(f'no such parameters: {sorted(unknown)}')
  return traverse_util.unflatten_dict({**flat, **new})
