"""VICReg: views agree, features vary over the batch, and do not repeat each other."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.objectives import variance_covariance


@dataclasses.dataclass(frozen=True)
class VICReg(base.Base):
  """Trains an encoder by VICReg (Bardes et al. 2021, arXiv:2105.04906, section 4)."""
  invariance_weight: float = config_lib.field(
      25., low=0., doc='Weight of the distance between two views (lambda)')
  variance_weight: float = config_lib.field(
      25., low=0., doc='Weight of standard deviations below 1 (mu)')
  covariance_weight: float = config_lib.field(
      1., low=0., doc='Weight of covariances of different features (nu)')

  num_crops: ClassVar[int] = 2
  min_images: ClassVar[int] = 2  # one image has no variance

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    return {'projector': spec.projector(dtype=dtype)}

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the weighted sum of the three terms, which are also the metrics."""
    del labels
    endpoints, model_state = self.forward(params, variables.model_state, views)
    z = endpoints['projection']
    terms = {'invariance': variance_covariance.distance(z),
             'variance': variance_covariance.variance(z),
             'covariance': variance_covariance.covariance(z)}
    loss = (self.invariance_weight * terms['invariance']
            + self.variance_weight * terms['variance']
            + self.covariance_weight * terms['covariance'])
    return loss, base.LossOutput(model_state, terms, endpoints)
