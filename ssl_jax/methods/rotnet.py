"""RotNet: by which multiple of a quarter turn was the image rotated?

Gidaris et al. 2018, arXiv:1803.07728, section 3.
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

# Quarter turns, counter-clockwise; the place of a turn here is its label.
ROTATIONS = {
    'all': (0, 1, 2, 3),      # every image four times in the batch
    'random': (0, 1, 2, 3),   # every image once, by a turn of its own
    '0_180': (0, 2),
    '90_270': (1, 3),
}


@dataclasses.dataclass(frozen=True)
class RotNet(base.Base):
  """Softmax cross-entropy over the rotations of one augmented crop per image.

  An image is augmented once and then rotated, so that nothing but the rotation
  tells its copies apart. A batch of B images is one of 4B (2B, B) rows, which go
  through the network together.
  """
  rotations: str = config_lib.field(
      'all', choices=ROTATIONS, doc='Rotations that are told apart: of four each image '
      'in all of them (all) or in one (random), or a pair')

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del num_classes, dtype
    rotations = spec.method.keywords.get('rotations', RotNet.rotations)
    return {'head': heads.LinearHead(len(ROTATIONS[rotations]))}

  @property
  def quarter_turns(self) -> tuple[int, ...]:
    """The quarter turns that the head tells apart, in the order of its logits."""
    return ROTATIONS[self.rotations]

  @property
  def views_per_image(self) -> int:
    """V: how many rotations of its one crop an image is shown in."""
    return 1 if self.rotations == 'random' else len(self.quarter_turns)

  def views(self, key: jax.Array, batch: base.Batch) -> tuple[jax.Array, jax.Array]:
    """float [B*V, h, w, C], and the label of every row, int32 [B*V]."""
    crop_key, turn_key = jax.random.split(key)
    crops = super().views(crop_key, batch)
    if self.rotations == 'random':
      turns = jax.random.randint(turn_key, (len(crops),), 0, len(self.quarter_turns))
      return jax.vmap(geometry.rotate)(crops, turns), turns
    turns = jnp.arange(len(self.quarter_turns), dtype=jnp.int32)
    return geometry.rotate_all(crops, self.quarter_turns), jnp.tile(turns, len(crops))

  def loss(self, params: base.Tree, variables: base.Variables,
           views: tuple[jax.Array, jax.Array],
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    del labels
    rotated, turns = views
    endpoints, model_state = self.forward(params, variables.model_state, rotated)
    logits = endpoints['logits']
    metrics = {'rotation_accuracy': classification.accuracy(logits, turns)}
    return (classification.softmax_cross_entropy(logits, turns),
            base.LossOutput(model_state, metrics, endpoints))
