"""Defines the selective kernels of SimCLR v2 (Li et al. 2019, arXiv:1903.06586)."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax.models import layers


class SelectiveKernel(nn.Module):
  """Two 3x3 convolutions, mixed with weights that depend on the image and channel.

  The weights are a softmax over the two convolutions. Both kernels are 3x3, as in
  SimCLR v2 (Chen et al. 2020, arXiv:2006.10029).

  Attributes:
    features: number of channels of the result.
    strides: stride of both convolutions.
    ratio: width of the layer that computes the weights, as a fraction of `features`;
      the width is at least 32.
    dtype: type of the computation.
    bn_groups: groups of BatchNorm; see `layers.batch_norm`.
  """
  features: int
  strides: int
  ratio: float
  dtype: Any
  bn_groups: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    norm = functools.partial(layers.batch_norm, train=train, dtype=self.dtype,
                             groups=self.bn_groups)
    dense = functools.partial(layers.dense, dtype=self.dtype)
    x = layers.conv(2 * self.features, 3, self.strides, dtype=self.dtype,
                    name='conv')(x)
    x = nn.relu(norm(name='bn')(x))
    x = x.reshape(*x.shape[:3], 2, self.features)
    squeezed = jnp.mean(x.sum(3), (1, 2), dtype=jnp.float32)
    hidden = dense(max(int(self.features * self.ratio), 32), name='reduce')(squeezed)
    hidden = nn.relu(norm(name='bn_reduce')(hidden))
    mix = dense(2 * self.features, name='mix')(hidden)
    mix = nn.softmax(mix.reshape(-1, 1, 1, 2, self.features), axis=3)
    return (x * mix).sum(3)
