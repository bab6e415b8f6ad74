"""Builds the layers that all networks of this library consist of."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.models import conv as conv_lib
from ssl_jax.models import normalization
from ssl_jax.parallel import mesh as mesh_lib

LECUN = nn.initializers.lecun_normal()
MOMENTUM = 0.9  # the fraction of its old value that a running statistic keeps per step
BN_GROUPS = config.Rule(
    'Number of groups of a batch; BatchNorm normalises each group by its own '
    'statistics', low=1)


def _cast_late(operation: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
  """Wraps f(inputs, kernel, ...) so that each device casts the kernel to its dtype.

  Each device then casts its gradient back to float32 before the devices sum them. If
  the kernel were cast once for all devices, XLA would sum gradients in bfloat16, whose
  precision is 8 bits.
  """
  def late(inputs, kernel, *args, **options):
    run = lambda inputs, kernel: operation(
        inputs, kernel.astype(inputs.dtype), *args, **options)
    if inputs.dtype == kernel.dtype:
      return run(inputs, kernel)
    return mesh_lib.shard_map_rows(run, inputs, kernel)
  return late


_conv = _cast_late(conv_lib.conv_general_dilated)
_dot = _cast_late(jax.lax.dot_general)


def _cast_inputs(inputs: jax.Array, *params: jax.Array | None, dtype: Any,
                 **_: Any) -> list[jax.Array | None]:
  """Casts the inputs like Flax' `promote_dtype`, but leaves the parameters float32."""
  return [inputs.astype(dtype), *params]


def conv(features: int, kernel_size: int, strides: int = 1, *, dtype: Any, name: str,
         kernel_init: nn.initializers.Initializer = LECUN, padding: int | None = None,
         use_bias: bool = False) -> nn.Conv:
  """Builds a square convolution, by default without bias, for a `batch_norm` after it.

  By default all sides are padded with (k-1)/2 zeros, for every stride. Flax' 'SAME'
  would pad a strided layer more at the bottom and right, so that positions would differ
  by one pixel from those of PyTorch's and Google's networks. Gradients of the kernel
  are summed over devices in float32.

  Args:
    features: number of output channels.
    kernel_size: k, the side of the kernel in pixels.
    strides: stride in both directions, in pixels.
    dtype: type of the products.
    name: name of the module.
    kernel_init: initialiser of the kernel; the default is a truncated normal
      distribution of variance 1/fan_in.
    padding: number of zeros on each side in pixels; None is (k-1)/2.
    use_bias: whether the layer has a bias. It is float32, so the sum is too.
  """
  pad = (kernel_size - 1) // 2 if padding is None else padding
  return nn.Conv(
      features, (kernel_size, kernel_size), strides=(strides, strides),
      padding=((pad, pad), (pad, pad)), use_bias=use_bias, dtype=dtype,
      kernel_init=kernel_init, promote_dtype=_cast_inputs,
      conv_general_dilated=_conv, name=name)


def dense(features: int, *, dtype: Any, name: str, use_bias: bool = False,
          kernel_init: nn.initializers.Initializer = LECUN) -> nn.Dense:
  """Builds a dense layer: x [B, D] -> x W, or x W + b with a bias.

  Gradients of W are summed over devices in float32, as for convolutions.

  Args:
    features: width of the output.
    dtype: type of the product x W. The bias is float32, so the sum is too.
    name: name of the module.
    use_bias: whether the layer has a bias.
    kernel_init: initialiser of W.
  """
  return nn.Dense(features, use_bias=use_bias, dtype=dtype, kernel_init=kernel_init,
                  promote_dtype=_cast_inputs, dot_general=_dot, name=name)


@jax.custom_vjp
def residual_relu(x: jax.Array) -> jax.Array:
  """Returns max(x, 0), with a gradient that reads the result instead of x.

  The result of a residual block is kept as input of the next block. The sum before the
  ReLU is not kept, so that XLA:GPU would read both of its terms to compute it again. As
  with `flax.linen.relu`, the gradient at 0 is 0.
  """
  return _relu_forward(x)[0]


def _relu_forward(x):
  # Without the barrier the compiler would nevertheless compute the sum again.
  y = jax.lax.optimization_barrier(jnp.maximum(x, 0))
  return y, y


residual_relu.defvjp(
    _relu_forward, lambda y, g: (jnp.where(y > 0, g, jnp.zeros_like(g)),))


def batch_norm(*, train: bool, dtype: Any, name: str, zero_scale: bool = False,
               use_bias: bool = True, groups: int = 1, use_scale: bool = True
               ) -> Callable[[jax.Array], jax.Array]:
  """Builds BatchNorm with float32 statistics of the global batch, or of groups of rows.

  Running statistics keep `MOMENTUM` of their old value at each step and use the biased
  variance; epsilon is 1e-5 (as in google-research/simclr).

  Groups are contiguous rows for every number of devices D, so that the meaning of a
  config does not depend on D. If D / groups is a whole number, a group is on that many
  devices, and its statistics are exchanged only between them. Running statistics move
  towards the mean over groups of the mean and of the variance. That is the average of
  the statistics that normalised the batch; the variance between groups is not included.

  Args:
    train: whether the batch is normalised by its own statistics instead of the running
      statistics.
    dtype: dtype of the result.
    name: name of the module. It must start with 'bn', by which optimizers find the
      parameters that do not decay.
    zero_scale: whether the scale starts at 0 instead of 1, so that a residual branch
      starts with output 0.
    use_bias: whether a bias is learned.
    groups: number of groups, which must divide the rows of a training batch.
    use_scale: whether a scale is learned.

  Raises:
    errors.UserError: when called, `groups` does not divide the rows of the batch.
  """
  return BatchNorm(train, dtype, zero_scale, use_bias, groups, use_scale, name=name)


class BatchNorm(nn.Module):
  """Implements `batch_norm`; names of parameters and statistics are those of Flax."""
  train: bool
  dtype: Any
  zero_scale: bool
  use_bias: bool
  groups: int
  use_scale: bool = True

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape, channels = x.shape, x.shape[-1:]
    if self.train and self.groups != 1:
      x = _cut(x, self.groups)
    running_mean = self.variable('batch_stats', 'mean', jnp.zeros, channels)
    running_var = self.variable('batch_stats', 'var', jnp.ones, channels)
    scale = bias = None
    if self.use_scale:
      init = nn.initializers.zeros if self.zero_scale else nn.initializers.ones
      scale = self.param('scale', init, channels)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, channels)
    if not self.train:
      y = normalization.normalize(
          x, running_mean.value, running_var.value, scale, bias)
      return y.astype(self.dtype)
    y, mean, var = normalization.normalize_by_moments(
        x, scale, bias, tuple(range(x.ndim - len(shape), x.ndim - 1)), self.dtype)
    if not self.is_initializing():
      for running, new in ((running_mean, mean), (running_var, var)):
        new = new.reshape(-1, *channels).mean(0)
        running.value = MOMENTUM * running.value + (1 - MOMENTUM) * new
    return y.reshape(shape)


def _cut(x: jax.Array, groups: int) -> jax.Array:
  """Splits the rows of x, [B, ...], into groups: [groups, B / groups, ...]."""
  if groups < 1 or len(x) % groups:
    raise errors.UserError(
        f'config.model.bn_groups is {groups}; it must be positive and divide the '
        f'{len(x)} rows of a training batch')
  return x.reshape(groups, -1, *x.shape[1:])
