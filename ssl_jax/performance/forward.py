"""A method whose network passes are recorded or replaced, to count and time them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from ssl_jax.methods import base

# Those of one size by name; of several sizes a list.
Endpoints = Mapping[str, jax.Array] | list[Mapping[str, jax.Array]]


def with_forward(method: base.Base, forward: Callable[..., Any]) -> base.Base:
  """Returns the method with another function in place of `Base.forward`."""
  changed = copy.copy(method)
  object.__setattr__(changed, 'forward', forward)  # methods are frozen; this is ours
  return changed


def recorded(method: base.Base, passes: list[Endpoints]) -> base.Base:
  """Returns the method; the endpoints of every pass of its loss join `passes`."""
  def forward(*args, **kwargs):
    endpoints, model_state = method.forward(*args, **kwargs)
    passes.append(endpoints)
    return endpoints, model_state
  return with_forward(method, forward)


def replaced(method: base.Base, passes: Sequence[Endpoints]) -> base.Base:
  """Returns the method with fixed endpoints in place of its networks.

  Args:
    method: stays as it is.
    passes: the endpoints of each pass in one `loss`, in their order. The method that
      is returned computes one loss.
  """
  left = iter(passes)
  return with_forward(method, lambda params, model_state, views, network=None: (
      jax.tree.map(lambda x: x, next(left)), model_state))
