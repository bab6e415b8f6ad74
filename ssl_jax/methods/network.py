"""Defines the network of a method: an encoder and its heads."""

import flax.linen as nn
import jax


class Network(nn.Module):
  """Applies an encoder and its heads, and returns all endpoints by name.

  Attributes:
    encoder: images -> endpoints; 'pooled' [B, D] is the input of the heads.
    projector: 'pooled' -> 'projection' [B, P] and its hidden layers; see
      models.build_projector.
    predictor: 'projection' -> 'prediction' [B, P] and its hidden layers; see
      models.build_predictor. It needs a projector.
    head: 'pooled' -> 'logits' [B, classes].
  """
  encoder: nn.Module
  projector: nn.Module | None = None
  head: nn.Module | None = None
  predictor: nn.Module | None = None

  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    """Maps images, float [B, H, W, C], to {'stem', 'stage1', ..., 'pooled', ...}."""
    endpoints = self.encoder(x, train=train)
    if self.projector is not None:
      endpoints |= self.projector(endpoints['pooled'], train=train)
    if self.predictor is not None:
      endpoints |= self.predictor(endpoints['projection'], train=train)
    if self.head is not None:
      endpoints['logits'] = self.head(endpoints['pooled'], train=train)
    return endpoints
