"""SimCLR: two views of an image agree, and views of different images do not.

The method is from Chen et al. 2020, arXiv:2002.05709, section 2.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax.methods import base
from ssl_jax.objectives import contrastive, tiled


@dataclasses.dataclass(frozen=True)
class SimCLR(base.Base):
  """Minimises NT-Xent over both views, which pass through the network as one batch.

  BatchNorm therefore normalises both views by the same statistics.
  """
  temperature: float = config_lib.field(
      0.5, above=0, doc='Temperature of NT-Xent, by which similarities are divided')
  similarity: str = config_lib.field(
      'cosine', choices=contrastive.SIMILARITIES,
      doc='Similarity of two embeddings: their dot product, after each is scaled to '
      'unit length (cosine) or not (dot)')
  scale: str = config_lib.field(
      'paper', choices=contrastive.SCALES,
      doc='Scale of the loss: the mean over views (paper), or twice that (google)')
  decoupled: bool = config_lib.field(
      False, doc='Whether the other view of an image is left out of the denominator '
      '(DCL, arXiv:2110.06848)')
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
    """Computes NT-Xent, with the metrics of `contrastive.contrastive_metrics`."""
    del labels
    endpoints, model_state = self.forward(params, variables.model_state, views)
    loss, metrics = tiled.nt_xent_by_mode(
        self.tiled, endpoints['projection'], self.temperature,
        similarity=self.similarity, scale=self.scale, decoupled=self.decoupled)
    return loss, base.LossOutput(model_state, metrics, endpoints)
