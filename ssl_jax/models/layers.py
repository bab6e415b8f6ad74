"""The convolution and the batch normalisation that every network here uses."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.models import conv as conv_lib

LECUN = nn.initializers.lecun_normal()
MOMENTUM = 0.9  # what running statistics keep of their old value at each step


def conv(features: int, kernel_size: int, strides: int = 1, *, dtype: Any, name: str,
         kernel_init: nn.initializers.Initializer = LECUN) -> nn.Conv:
  """A square convolution without bias, to be followed by `batch_norm`.

  Zeros are added evenly on all sides, (k-1)/2 of them, whatever the stride.
  Flax' 'SAME' would pad a strided layer more at the bottom and right, one pixel
  away from where peers' networks sample. Unless `kernel_init` says otherwise,
  weights start as truncated normals of variance 1/fan_in.
  """
  pad = (kernel_size - 1) // 2
  return nn.Conv(
      features, (kernel_size, kernel_size), strides=(strides, strides),
      padding=((pad, pad), (pad, pad)), use_bias=False, dtype=dtype,
      kernel_init=kernel_init,
      conv_general_dilated=conv_lib.conv_general_dilated, name=name)


def batch_norm(*, train: bool, dtype: Any, name: str, zero_scale: bool = False,
               use_bias: bool = True, groups: int = 1
               ) -> Callable[[jax.Array], jax.Array]:
  """BatchNorm with float32 statistics of the global batch, or of groups of its rows.

  Running statistics keep `MOMENTUM` of their old value at each step and use the
  biased variance; epsilon is 1e-5 (google-research/simclr).

  Groups are contiguous rows, whatever the number of devices D, so that a config
  means the same on all of them. A group spans D / groups devices where that is a
  whole number, and no statistic leaves them. Running statistics move towards the
  groups' mean and mean variance: an average of what normalised the batch, without
  the variance between groups.

  E[x^2] - E[x]^2 needs one pass over the activations, but cancels: its relative
  error is about 2^-24 (1 + mean^2/var). Rounding x to bfloat16 has already cost
  more than that, so there the fast form is free; float32 takes the second pass.

  Args:
    train: normalise by this batch, rather than by the running statistics.
    dtype: of the result.
    name: must start with 'bn'; optimizers find what not to decay by it.
    zero_scale: the scale starts at 0, not 1: a residual branch starts silent.
    use_bias: whether a shift is learned too.
    groups: must divide the rows of a training batch.
  """
  scale_init = nn.initializers.zeros if zero_scale else nn.initializers.ones
  options = dict(
      use_running_average=not train, momentum=MOMENTUM, epsilon=1e-5, dtype=dtype,
      scale_init=scale_init, use_bias=use_bias,
      use_fast_variance=jnp.finfo(dtype).bits < 32, name=name)
  if groups == 1 or not train:
    return nn.BatchNorm(**options)
  # The groups share parameters, start from the same running statistics, and what
  # each makes of them is averaged.
  share = lambda x: jnp.broadcast_to(x, (groups, *x.shape))
  norm = nn.map_variables(
      nn.vmap(nn.BatchNorm, variable_axes={'params': None, 'batch_stats': 0},
              split_rngs={'params': False}),
      'batch_stats', lambda stats: jax.tree.map(share, stats),
      lambda stats: jax.tree.map(lambda x: x.mean(0), stats), mutable=True)(**options)
  return lambda x: norm(_cut(x, groups)).reshape(x.shape)


def _cut(x: jax.Array, groups: int) -> jax.Array:
  """[B, ...] -> [groups, B / groups, ...]."""
  if groups < 1 or len(x) % groups:
    raise errors.UserError(
        f'config.model.bn_groups is {groups}; it must be positive and divide the '
        f'{len(x)} rows of a training batch')
  return x.reshape(groups, -1, *x.shape[1:])
