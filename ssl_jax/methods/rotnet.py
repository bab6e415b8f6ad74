"""RotNet: predicts by which multiple of 90 degrees an image was rotated.

The method is from Gidaris et al. 2018, arXiv:1803.07728, section 3.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax.augment import geometry
from ssl_jax.methods import base
from ssl_jax.models import heads
from ssl_jax.objectives import classification

# Rotations in counter-clockwise quarter turns. The index of a rotation in its tuple is
# its label.
ROTATIONS = {
    'all': (0, 1, 2, 3),      # every image is four times in the batch
    'random': (0, 1, 2, 3),   # every image is in the batch once, by a random rotation
    '0_180': (0, 2),
    '90_270': (1, 3),
}


@dataclasses.dataclass(frozen=True)
class RotNet(base.Base):
  """Softmax cross-entropy over the rotations of one augmented crop per image.

  An image is augmented once and then rotated, so that its copies differ only by the
  rotation. The rotated copies of all B images, 4B, 2B or B rows, pass through the
  network as one batch.
  """
  rotations: str = config_lib.field(
      'all', choices=ROTATIONS, doc='Rotations to predict: all four of each image '
      '(all), one of the four at random (random), or both of a pair')

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes, dtype
    rotations = spec.method.keywords.get('rotations', RotNet.rotations)
    return {'head': heads.LinearHead(len(ROTATIONS[rotations]))}

  @property
  def quarter_turns(self) -> tuple[int, ...]:
    """The rotations in quarter turns, in the order of the logits."""
    return ROTATIONS[self.rotations]

  @property
  def views_per_image(self) -> int:
    """V, the number of rotations of the crop of an image."""
    return 1 if self.rotations == 'random' else len(self.quarter_turns)

  def views(self, key: jax.Array, batch: base.Batch) -> tuple[jax.Array, jax.Array]:
    """Returns views, float [B*V, h, w, C], and the label of each, int32 [B*V]."""
    crop_key, rotation_key = jax.random.split(key)
    crops = super().views(crop_key, batch)
    count = len(self.quarter_turns)
    if self.rotations == 'random':
      rotations = jax.random.randint(rotation_key, (len(crops),), 0, count)
      return jax.vmap(geometry.rotate)(crops, rotations), rotations
    rotations = jnp.tile(jnp.arange(count, dtype=jnp.int32), len(crops))
    return geometry.rotate_all(crops, self.quarter_turns), rotations

  def loss(self, params: base.Tree, variables: base.Variables,
           views: tuple[jax.Array, jax.Array],
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the loss of the rotations; the metric is 'rotation_accuracy'."""
    del labels
    rotated, rotations = views
    endpoints, model_state = self.forward(params, variables.model_state, rotated)
    logits = endpoints['logits']
    metrics = {'rotation_accuracy': classification.accuracy(logits, rotations)}
    return (classification.softmax_cross_entropy(logits, rotations),
            base.LossOutput(model_state, metrics, endpoints))
