"""SupCon: views of images of the same class agree, and those of others differ.

The method is from Khosla et al. 2020, arXiv:2004.11362. It needs labels, and is a
reference for methods that have none.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.objectives import supervised_contrastive, tiled


@dataclasses.dataclass(frozen=True)
class SupCon(base.Base):
  """Minimises the supervised contrastive loss; images without a label are alone."""
  temperature: float = config_lib.field(
      0.1, above=0, doc='Temperature by which similarities are divided')
  tiled: str = config_lib.field(
      'auto', choices=tiled.MODES,
      doc='Use of tiles in the loss, which save memory; auto uses them on several '
      'devices and for large batches')

  num_crops: ClassVar[int] = 2
  min_images: ClassVar[int] = 2  # the other images of a batch are the negatives

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    return {'projector': spec.projector(dtype=dtype)}

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the loss, with the metrics of `contrastive.contrastive_metrics`."""
    endpoints, model_state = self.forward(params, variables.model_state, views)
    loss, metrics = supervised_contrastive.sup_con(
        endpoints['projection'], labels, self.temperature, mode=self.tiled)
    return loss, base.LossOutput(model_state, metrics, endpoints)
