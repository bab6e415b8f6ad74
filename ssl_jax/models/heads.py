"""What stands on an encoder: a projection head, or a linear classifier."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.models import layers


class ProjectionHead(nn.Module):
  """g of SimCLR: features h [B, D] -> embeddings z [B, dim], with all between.

  Chen et al. 2020, arXiv:2002.05709, section 4.2: dense layers with ReLU between
  them. With `batch_norm` as in google-research/simclr: no layer has a bias, each
  is normalised, and the last is scaled but not shifted.

  Returns {'projection0': h, 'projection1': ..., 'projection{layers}': z} and z
  once more as 'projection', all float32. A hidden layer is given after its ReLU,
  as one fine-tunes from it in SimCLR v2.

  Attributes:
    layers: dense layers. 0: no head, z is h; 1: linear; from 2: nonlinear.
    hidden: width of the hidden layers; None for that of h.
    dim: width of z.
    batch_norm: normalise every layer; otherwise every layer has a bias.
    dtype: of the matrix products.
  """
  layers: int = 2
  hidden: int | None = None
  dim: int = 128
  batch_norm: bool = True
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, h: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    # Peers without BatchNorm scale by fan-in; N(0, 0.01) would shrink z to noise.
    kernel_init = (nn.initializers.normal(0.01) if self.batch_norm
                   else nn.initializers.lecun_normal())
    x = h.astype(jnp.float32)
    endpoints = {'projection0': x}
    for i in range(1, self.layers + 1):
      last = i == self.layers
      features = self.dim if last else self.hidden or h.shape[-1]
      x = nn.Dense(features, use_bias=not self.batch_norm, dtype=self.dtype,
                   kernel_init=kernel_init, name=f'dense{i}')(x)
      x = x.astype(jnp.float32)
      if self.batch_norm:
        x = layers.batch_norm(train=train, dtype=jnp.float32, use_bias=not last,
                              name=f'bn{i}')(x)
      if not last:
        x = nn.relu(x)
      endpoints[f'projection{i}'] = x
    return endpoints | {'projection': x}


class LinearHead(nn.Module):
  """features [B, D] -> logits float32 [B, num_classes], computed in float32.

  Weights start at N(0, 0.01), biases at 0 (google-research/simclr).
  """
  num_classes: int

  @nn.compact
  def __call__(self, features: jax.Array) -> jax.Array:
    return nn.Dense(
        self.num_classes, dtype=jnp.float32, name='dense',
        kernel_init=nn.initializers.normal(0.01))(features)


def build_projector(*, dtype: Any = jnp.float32, layers: int = 2,
                    hidden: int | None = None, dim: int = 128,
                    batch_norm: bool = True) -> ProjectionHead:
  """A `ProjectionHead` of checked fields.

  Raises:
    errors.UserError: a width is not positive, or `layers` is negative.
  """
  for field, value, least in (('layers', layers, 0), ('dim', dim, 1),
                              ('hidden', 1 if hidden is None else hidden, 1)):
    if value != int(value) or value < least:
      raise errors.UserError(
          f'config.projector.{field} is {value}; it must be a whole number from '
          f'{least} up')
  return ProjectionHead(layers, hidden, dim, batch_norm, dtype)
