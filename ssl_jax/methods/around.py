"""A base class of methods that change how another method trains."""

import dataclasses
from typing import Any

from ssl_jax.methods import base


@dataclasses.dataclass(frozen=True)
class Around:
  """Trains as another method does, except for what a subclass defines.

  `Variables.non_trainable` is a dictionary, in which 'inner' has the variables of the
  other method; a subclass adds its own. All attributes that are not defined here or in
  the subclass are those of the other method.

  Attributes:
    inner: the other method.
  """
  inner: base.Base

  def __getattr__(self, name: str) -> Any:
    if name.startswith('__') or name == 'inner':  # not there yet in a copy
      raise AttributeError(name)
    return getattr(self.inner, name)

  def encoder_variables(self, variables: base.Variables) -> base.Tree:
    """Returns the variables that `encode` accepts, those of the other method."""
    return self.inner.encoder_variables(self.inner_variables(variables))

  def frozen(self, variables: base.Variables) -> base.Tree:
    """Returns the variables that no update changes, as `FineTune.frozen` does."""
    return self.inner.frozen(self.inner_variables(variables))

  def inner_variables(self, variables: base.Variables) -> base.Variables:
    """Returns the variables of the other method."""
    return variables.replace(non_trainable=variables.non_trainable['inner'])
