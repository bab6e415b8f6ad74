"""LeJEPA: views agree with their mean, and embeddings are an isotropic Gaussian.

The method is from Balestriero & LeCun 2025, arXiv:2511.08544, section 5. It has neither
negatives, nor a target network, nor a stopped gradient.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.objectives import sketched_gaussian


@dataclasses.dataclass(frozen=True)
class LeJEPA(base.Base):
  """Minimises the distance of views from their mean, and SIGReg of each view."""
  sigreg_weight: float = config_lib.field(
      0.05, low=0, high=1, doc='Weight of SIGReg (lambda); that of the distance '
      'between views is 1 minus it')
  directions: int = config_lib.field(
      1024, low=1, doc='Number of random directions, which are drawn for each step')
  views_per_image: int = config_lib.field(
      2, low=2, doc='Number of views of an image')

  min_images: ClassVar[int] = 2  # a distribution needs several images

  @classmethod
  def crops(cls, fields: Mapping[str, Any]) -> int:
    return fields.get('views_per_image', cls.views_per_image)

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    return {'projector': spec.projector(dtype=dtype)}

  def views(self, key: jax.Array, batch: base.Batch) -> base.Tree:
    """Makes views, and draws the directions of this step."""
    own, other = jax.random.split(key)
    return {'images': super().views(own, batch),
            'directions': sketched_gaussian.directions(
                other, self.network.projector.dim, self.directions)}

  def loss(self, params: base.Tree, variables: base.Variables, views: base.Tree,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the weighted sum of both terms, which are also the metrics."""
    del labels
    endpoints, model_state = self.forward(params, variables.model_state,
                                          views['images'])
    z = endpoints['projection']
    by_view = jnp.unstack(z.reshape(-1, self.views_per_image, z.shape[-1]), axis=1)
    terms = {
        'invariance': sketched_gaussian.invariance(z, self.views_per_image),
        'sigreg': jnp.stack([sketched_gaussian.sigreg(x, views['directions'])
                             for x in by_view]).mean()}
    loss = ((1 - self.sigreg_weight) * terms['invariance']
            + self.sigreg_weight * terms['sigreg'])
    return loss, base.LossOutput(model_state, terms, endpoints)
