"""The convolution and the batch normalisation that every network here uses."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ssl_jax.models import conv as conv_lib

LECUN = nn.initializers.lecun_normal()


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
               use_bias: bool = True) -> nn.BatchNorm:
  """BatchNorm with float32 statistics of the whole global batch.

  Running statistics keep 0.9 of their old value at each step and use the biased
  variance; epsilon is 1e-5 (google-research/simclr).

  E[x^2] - E[x]^2 needs one pass over the activations, but cancels: its relative
  error is about 2^-24 (1 + mean^2/var). Rounding x to bfloat16 has already cost
  more than that, so there the fast form is free; float32 takes the second pass.

  Args:
    train: normalise by this batch, rather than by the running statistics.
    dtype: of the result.
    name: must start with 'bn'; optimizers find what not to decay by it.
    zero_scale: the scale starts at 0, not 1: a residual branch starts silent.
    use_bias: whether a shift is learned too.
  """
  scale_init = nn.initializers.zeros if zero_scale else nn.initializers.ones
  return nn.BatchNorm(
      use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype,
      scale_init=scale_init, use_bias=use_bias,
      use_fast_variance=jnp.finfo(dtype).bits < 32, name=name)
