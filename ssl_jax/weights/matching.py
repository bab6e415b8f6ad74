"""Puts the arrays of one network into another one, and lists what does not match."""

from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

Tree = Any
Path = tuple[str, ...]
ENCODER = 'encoder'


class Match(NamedTuple):
  """Holds the result of `match`.

  Attributes:
    variables: the target's tree with the arrays of the source in their place.
    missing: arrays of the target's encoder that the source lacks.
    other_shape: arrays of the target's encoder that have another shape in the source.
    surplus: arrays of the source's encoder that the target lacks.
    taken: modules of the target that are now those of the source.
    kept: modules of the target that are as before, such as 'projector'.
    unused: arrays of other modules of the source that are not used.
  """
  variables: Tree
  missing: list[Path]
  other_shape: list[Path]
  surplus: list[Path]
  taken: list[str]
  kept: list[str]
  unused: list[Path]

  @property
  def fits(self) -> bool:
    """Returns whether source and target have the same encoder."""
    return not (self.missing or self.other_shape or self.surplus)


def match(target: Tree, source: Tree) -> Match:
  """Replaces each module of `target` that `source` has with the same names and shapes.

  Args:
    target: {'params', 'batch_stats'}; below them modules such as 'encoder'.
    source: a tree of the same kind.
  """
  old, new = (traverse_util.flatten_dict(tree) for tree in (target, source))
  modules = list(dict.fromkeys(path[1] for path in old))
  of = lambda flat, module: {p: np.shape(x) for p, x in flat.items() if p[1] == module}
  taken = [m for m in modules if of(old, m) == of(new, m)]
  variables = {p: np.asarray(new[p], x.dtype) if p[1] in taken else x
               for p, x in old.items()}
  mine, theirs = of(old, ENCODER), of(new, ENCODER)
  empty = {collection: {} for collection in target}
  return Match(
      empty | traverse_util.unflatten_dict(variables),
      missing=sorted(mine.keys() - theirs.keys()),
      other_shape=sorted(p for p in mine.keys() & theirs.keys()
                         if mine[p] != theirs[p]),
      surplus=sorted(theirs.keys() - mine.keys()),
      taken=taken, kept=[m for m in modules if m not in taken],
      unused=sorted(p for p in new if p[1] not in (*taken, ENCODER)))


def without_wrappers(variables: Tree) -> Tree:
  """Returns the variables of a network that was fine-tuned, perhaps several times.

  A fine-tuned network holds the network before it as the module 'network', next to its
  own 'head'. The result has the modules of the innermost one, of which a head is
  replaced by the outermost head.

  Args:
    variables: {'params', 'batch_stats'} as `method.encoder_variables` returns them.
  """
  def unwrapped(tree):
    while 'network' in tree:
      head = {name: tree[name] for name in ('head',) if name in tree}
      tree = {**{k: v for k, v in tree['network'].items() if k != 'head'}, **head}
    return tree
  return {collection: unwrapped(tree) for collection, tree in variables.items()}
