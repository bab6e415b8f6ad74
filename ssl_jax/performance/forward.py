"""Records or replaces the network passes of a method, to count and time them."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from ssl_jax.methods import base, compressed

# The endpoints by name; a list of such mappings if views have several sizes.
Endpoints = Mapping[str, jax.Array] | list[Mapping[str, jax.Array]]


def with_forward(method: base.Base, forward: Callable[..., Any]) -> base.Base:
  """Returns the method with another function in place of `Base.forward`."""
  if isinstance(method, compressed.Compressed):  # its passes are those of the other one
    return dataclasses.replace(method, inner=with_forward(method.inner, forward))
  changed = copy.copy(method)
  object.__setattr__(changed, 'forward', forward)  # a frozen dataclass, but our copy
  return changed


def recorded(method: base.Base, passes: list[Endpoints]) -> base.Base:
  """Returns a method that appends the endpoints of every pass of its loss to a list.

  Args:
    method: the method; it does not change.
    passes: the list.
  """
  def forward(*args, **kwargs):
    endpoints, model_state = method.forward(*args, **kwargs)
    passes.append(endpoints)
    return endpoints, model_state
  return with_forward(method, forward)


def replaced(method: base.Base, passes: Sequence[Endpoints]) -> base.Base:
  """Returns the method with fixed endpoints in place of its networks.

  Args:
    method: the method; it does not change.
    passes: the endpoints of each pass in one `loss`, in their order. The method that
      is returned can compute one loss.
  """
  left = iter(passes)
  return with_forward(method, lambda params, model_state, views, network=None: (
      jax.tree.map(lambda x: x, next(left)), model_state))
