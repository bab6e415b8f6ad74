"""A target network, a moving average of an encoder and its projector.

It is the tree {'params', 'batch_stats'} of the network without predictor, and part of
`Variables.non_trainable`, so no gradient reaches it.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax.methods import base


@dataclasses.dataclass(frozen=True)
class TargetMethod(base.Base):
  """A base class of methods that predict what a target network projects.

  A subclass defines `loss` and calls `project` in it. `Variables.non_trainable` is the
  target network, which normalises by the batch and has running statistics of its own.
  """
  tau: float = config_lib.field(
      0.996, low=0, high=1, doc='Decay of the moving average that is the target '
      'network; it starts here and rises to 1 along a cosine')

  num_crops: ClassVar[int] = 2

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    projector = spec.projector(dtype=dtype)
    predictor = spec.predictor(projector.dim, dtype=dtype)
    return {'projector': projector, 'predictor': predictor}

  def init(self, key: jax.Array, image_shape: tuple[int, int, int]) -> base.Variables:
    variables = super().init(key, image_shape)
    return variables.replace(non_trainable=copy_of(variables))

  def with_pretrained(self, variables: base.Variables,
                      encoder: base.Tree) -> base.Variables:
    """Returns the variables of a trained network, which is also the first target."""
    variables = super().with_pretrained(variables, encoder)
    return variables.replace(non_trainable=copy_of(variables))

  def project(self, target: base.Tree, views: jax.Array) -> tuple[jax.Array, base.Tree]:
    """Returns the projections [2N, D] of a target network, and the network after it.

    Args:
      target: the target network.
      views: float [2N, h, w, C].
    """
    endpoints, batch_stats = self.forward(
        target['params'], target['batch_stats'], views,
        network=self.network.clone(predictor=None))
    return endpoints['projection'], {**target, 'batch_stats': batch_stats}

  def after_update(self, variables: base.Variables,
                   progress: jax.Array) -> base.Variables:
    return variables.replace(non_trainable=moved(
        variables.non_trainable, variables.params, rising(self.tau, progress)))


def copy_of(variables: base.Variables) -> base.Tree:
  """Returns a target network that equals the trained network."""
  return jax.tree.map(jnp.copy, {  # the loop donates its state
      'params': _without_predictor(variables.params),
      'batch_stats': _without_predictor(variables.model_state)})


def moved(target: base.Tree, params: base.Tree, keep: jax.Array | float) -> base.Tree:
  """Moves the parameters of a target network towards those of the trained network.

  Args:
    target: the target network.
    params: the parameters of the trained network.
    keep: the fraction that remains of the old parameters of the target network.
  """
  average = lambda old, new: keep * old + (1 - keep) * new
  return {**target, 'params': jax.tree.map(average, target['params'],
                                           _without_predictor(params))}


def rising(tau: float, progress: jax.Array) -> jax.Array:
  """Returns a decay that starts at `tau` and rises to 1 along a cosine.

  It is that of Grill et al. 2020, arXiv:2006.07733, section 3.3.

  Args:
    tau: the decay at the start.
    progress: the fraction of training that is done, a float32 scalar.
  """
  return 1 - (1 - tau) * (jnp.cos(jnp.pi * progress) + 1) / 2


def _without_predictor(tree: base.Tree) -> base.Tree:
  return {name: part for name, part in tree.items() if name != 'predictor'}
