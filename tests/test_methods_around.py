"""Tests that a method around another one has the attributes of the other."""

import copy
import dataclasses

import jax
import numpy as np
import pytest
import tiny

from ssl_jax import methods
from ssl_jax.methods import around


@dataclasses.dataclass(frozen=True)
class Counted(around.Around):
  """Adds a number to what is not trained."""
  count: int = 0

  def init(self, key, image_shape):
    inner = self.inner.init(key, image_shape)
    return inner.replace(non_trainable={'inner': inner.non_trainable,
                                        'count': self.count})


def test_attributes_variables_and_frozen_arrays_are_those_of_the_other_method():
  inner = methods.build(tiny.config('byol'), 4)
  method = Counted(inner, 3)
  assert method.tau == inner.tau and method.network is inner.network
  assert method.views_per_image == 2 and method.frozen(
      method.init(jax.random.key(0), (8, 8, 3))) == {}
  variables = method.init(jax.random.key(0), (8, 8, 3))
  expected = inner.init(jax.random.key(0), (8, 8, 3))
  jax.tree.map(np.testing.assert_array_equal, method.inner_variables(variables),
               expected)
  jax.tree.map(np.testing.assert_array_equal, method.encoder_variables(variables),
               inner.encoder_variables(expected))


def test_copies_and_unknown_attributes():
  method = Counted(methods.build(tiny.config(), 4))
  assert copy.copy(method) == method
  assert hash(dataclasses.replace(method, count=1)) != hash(method)
  with pytest.raises(AttributeError, match='no attribute .tau'):
    _ = method.tau
