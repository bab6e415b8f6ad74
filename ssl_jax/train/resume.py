"""Decides whether a checkpoint belongs to the run that is to continue from it."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from ssl_jax import errors

Tree = Any
_NAMED = 3  # differences that a message names before it counts the others


def check_tree(saved: Tree, wanted: Tree, name: str, remedy: str = (
    'continue it with the code and the config that wrote it, or choose another '
    '--workdir')) -> None:
  """Compares the arrays of two trees by their paths, shapes and dtypes.

  Args:
    saved: the tree in a checkpoint; its leaves have a shape and a dtype.
    wanted: the tree that the run would restore; its leaves have them too.
    name: the name of the checkpoint in the message.
    remedy: the end of the message.

  Raises:
    errors.UserError: the trees differ; the message names at most three leaves.
  """
  differences = list(_differences(_leaves(saved), _leaves(wanted)))
  if differences:
    raise errors.UserError(
        f'{name} is intact but does not fit this run: '
        f'{errors.listed(differences, _NAMED, "; ")}; {remedy}')


def check_data(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
  """Compares two `data.sources.Source.description`s by the entries that both have.

  Args:
    saved: the description in the checkpoint. If an earlier version wrote it, it has no
      fingerprint.
    now: the description of the data that the run has opened.

  Raises:
    errors.UserError: the data changed since the checkpoint was written.
  """
  if changes := list(_changes(saved, now)):
    raise errors.UserError(
        f'the data of this run {", and ".join(changes)}; put the former data back to '
        'continue it, or choose another --workdir to start from the beginning')


def differ(saved: Tree, wanted: Tree) -> bool:
  """Returns whether two trees have other paths, shapes or dtypes.

  Args:
    saved: the tree in a checkpoint; its leaves have a shape and a dtype.
    wanted: the tree of the run; its leaves have them too.
  """
  return _leaves(saved) != _leaves(wanted)


def by_path(tree: Tree) -> dict[str, Any]:
  """Returns the leaves by the names of their paths, 'opt_state/0/trace/kernel'."""
  return {name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def name(path: Any) -> str:
  """Returns the name of a key path of JAX; Orbax's trees give the same names."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def _leaves(tree: Tree) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
  return {path: (tuple(leaf.shape), np.dtype(leaf.dtype))
          for path, leaf in by_path(tree).items()}


def _differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
  for path in sorted({*saved, *wanted}):
    if path not in wanted:
      yield f'{path} is only in the checkpoint'
    elif path not in saved:
      yield f'{path} is not in the checkpoint'
    elif saved[path] != wanted[path]:
      (shape, dtype), (own_shape, own_dtype) = saved[path], wanted[path]
      yield (f'{path} is {dtype} {shape} in the checkpoint and {own_dtype} {own_shape} '
             'in this run')


def _changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
  """Yields the differences as ends of a sentence 'the data of this run ...'."""
  before, after = (d.get('fingerprint') or {} for d in (saved, now))
  if 'images' in before and before['images'] != after.get('images'):
    yield f'had {before["images"]} images, now there are {after.get("images")}'
    before = {}  # the other entries change with the number of images
  if list(saved['image_shape']) != list(now['image_shape']):
    yield (f'had images of shape {tuple(saved["image_shape"])}, now they have '
           f'{tuple(now["image_shape"])}')
  old, new = (list(d['class_names']) for d in (saved, now))
  if old != new:
    yield f'had the {len(old)} classes {_some(old, new)}, now there are {len(new)}: ' \
          f'{_some(new, old)}'
  names = [k.replace('_', ' ') for k in before if k in after and before[k] != after[k]]
  if names:
    yield f'had as many images, but other {" and ".join(names)}'


def _some(names: list[str], others: list[str]) -> str:
  """Lists at most three names, those that `others` lacks first."""
  names = sorted(names, key=lambda name: name in others)
  return ', '.join(names[:_NAMED]) + (', ...' if len(names) > _NAMED else '')
