"""Supervised training, a baseline with the same encoder and training loop."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.methods import base
from ssl_jax.models import heads
from ssl_jax.objectives import classification


@dataclasses.dataclass(frozen=True)
class Supervised(base.Base):
  """Minimises softmax cross-entropy on one augmented view of every labelled image."""
  label_smoothing: float = config_lib.field(
      0.0, low=0, below=1, doc='Fraction of the target that is spread evenly over all '
      'classes')

  @staticmethod
  def build_heads(spec: Any, num_classes: int, dtype: Any) -> dict[str, nn.Module]:
    del spec, dtype
    if not num_classes:
      raise errors.UserError(
          "config.method.name is 'supervised', but the data have no labels; set it to "
          "'simclr' or 'rotnet', or set config.data.name to a labelled data set")
    return {'head': heads.LinearHead(num_classes)}

  def loss(self, params: base.Tree, variables: base.Variables, views: jax.Array,
           labels: jax.Array) -> tuple[jax.Array, base.LossOutput]:
    """Computes the loss of the labels; the metric is 'accuracy'."""
    endpoints, model_state = self.forward(params, variables.model_state, views)
    logits = endpoints['logits']
    loss = classification.softmax_cross_entropy(
        logits, labels, label_smoothing=self.label_smoothing)
    metrics = {'accuracy': classification.accuracy(logits, labels)}
    return loss, base.LossOutput(model_state, metrics, endpoints)
