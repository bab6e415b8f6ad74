"""SimCLR: two views of an image agree, and views of different images do not.

The method is from Chen et al. 2020, arXiv:2002.05709, section 2.
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.methods import base
from ssl_jax.objectives import contrastive, pairwise, tiled

OBJECTIVES = ('nt_xent', 'nt_logistic', 'margin_triplet')


@dataclasses.dataclass(frozen=True)
class SimCLR(base.Base):
  """Minimises NT-Xent over both views, which pass through the network as one batch.

  BatchNorm therefore normalises both views by the same statistics.
  """
  objective: str = config_lib.field(
      'nt_xent', choices=OBJECTIVES,
      doc='The loss: NT-Xent, or an alternative of the paper (table 2)')
  temperature: float = config_lib.field(
      0.5, above=0, doc='Temperature of NT-Xent and NT-Logistic, by which similarities '
      'are divided')
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

  semi_hard: bool = config_lib.field(
      False, doc='Whether NT-Logistic and margin triplet use only one negative of a '
      'view, the most similar one that is less similar than the positive')
  margin: float = config_lib.field(
      0.5, low=0, doc='Margin of the objective margin_triplet')

  num_crops: ClassVar[int] = 2
  min_images: ClassVar[int] = 2  # the other images of a batch are the negatives

  def __post_init__(self):
    unused = [name for name, used in (
        ('semi_hard', not self.semi_hard or self.objective != 'nt_xent'),
        ('decoupled', not self.decoupled or self.objective == 'nt_xent'),
        ('scale', self.scale == 'paper' or self.objective == 'nt_xent'),
        ('tiled', self.tiled != 'always' or self.objective == 'nt_xent')) if not used]
    if unused:
      value = getattr(self, unused[0])
      other = 'nt_logistic' if self.objective == 'nt_xent' else 'nt_xent'
      raise errors.UserError(
          f'config.method.{unused[0]} is {value!r}, but the objective '
          f'{self.objective!r} does not have it; leave it at its default or set '
          f'--config.method.objective={other}')

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes
    return {'projector': spec.projector(dtype=dtype)}

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the loss, with the metrics of `contrastive.contrastive_metrics`."""
    del labels
    endpoints, model_state = self.forward(params, variables.model_state, views)
    loss, metrics = self._objective(endpoints['projection'])
    return loss, base.LossOutput(model_state, metrics, endpoints)

  def _objective(self, z: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Computes the loss of embeddings [2N, D], and the metrics."""
    if self.objective == 'nt_xent':
      return tiled.nt_xent_by_mode(
          self.tiled, z, self.temperature, similarity=self.similarity,
          scale=self.scale, decoupled=self.decoupled)
    options = {'similarity': self.similarity, 'semi_hard': self.semi_hard}
    loss = (pairwise.margin_triplet(z, self.margin, **options)
            if self.objective == 'margin_triplet' else
            pairwise.nt_logistic(z, self.temperature, **options))
    return loss, contrastive.contrastive_metrics(z, self.temperature,
                                                 similarity=self.similarity)
