"""Finds the variables that an output depends on, and freezes modules.

methods/finetune.py uses these functions to freeze stages.
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import traverse_util
from jax.extend import core

Tree = Any
Path = tuple[str, ...]


def modules(params: Tree) -> set[Path]:
  """Returns the paths of all modules that hold some of the parameters."""
  return {path[:n] for path in traverse_util.flatten_dict(params)
          for n in range(len(path))}


def in_evaluation_mode(modules: set[Path]) -> Callable[..., Any]:
  """Returns an interceptor for `nn.intercept_methods` that sets train=False.

  Args:
    modules: paths of the modules that are called with train=False.
  """
  def interceptor(call, args, kwargs, context):
    if 'train' in kwargs and context.module.path in modules:
      kwargs = {**kwargs, 'train': False}
    return call(*args, **kwargs)
  return interceptor


def in_order_of_use(fn: Callable[[Tree], jax.Array], tree: Tree) -> list[Path]:
  """Returns the paths of the leaves that `fn(tree)` depends on, in order of use.

  The order comes from the jaxpr. The order of a dict would not serve, because `jit`
  returns dicts sorted by name.
  """
  flat = traverse_util.flatten_dict(tree)
  jaxpr = jax.make_jaxpr(
      lambda *leaves: fn(traverse_util.unflatten_dict(
          dict(zip(flat, leaves, strict=True)))))(*flat.values()).jaxpr
  needed, equations = set(jaxpr.outvars), []
  for equation in reversed(jaxpr.eqns):
    if not needed.isdisjoint(equation.outvars):
      inputs = [v for v in equation.invars if isinstance(v, core.Var)]
      needed.update(inputs)
      equations.append(inputs)
  names = dict(zip(jaxpr.invars, flat, strict=True))
  met = dict.fromkeys(v for inputs in reversed(equations) for v in inputs)
  return [names[v] for v in met if v in names]
