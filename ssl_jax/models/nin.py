"""Defines Network in Network as RotNet uses it for CIFAR-10.

The network is from Lin et al. 2013, arXiv:1312.4400. The blocks, pools and their
padding are those of Gidaris et al. 2018, arXiv:1803.07728, and of their code.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.models import layers

Plan = tuple[tuple[int, int], ...]  # (features, kernel size) of each convolution

BLOCKS = (3, 4, 5)
# PyTorch's default for convolutions, U(-b, b) with b = fan_in^-0.5. RotNet's code
# defines another initialisation for this network but does not call it.
UNIFORM = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


class Block(nn.Module):
  """Convolutions, each with BatchNorm and ReLU, that keep the resolution.

  Attributes:
    plan: (features, kernel size) of each convolution.
    dtype: type of the computation.
    kernel_init: initialiser of the kernels.
    bn_groups: groups of BatchNorm; see `layers.batch_norm`.
  """
  plan: Plan
  dtype: Any
  kernel_init: nn.initializers.Initializer = UNIFORM
  bn_groups: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    for i, (features, kernel_size) in enumerate(self.plan, start=1):
      x = layers.conv(features, kernel_size, dtype=self.dtype, name=f'conv{i}',
                      kernel_init=self.kernel_init)(x)
      x = nn.relu(layers.batch_norm(train=train, dtype=self.dtype, name=f'bn{i}',
                                    groups=self.bn_groups)(x))
    return x


class NIN(nn.Module):
  """Network in Network: normalised images [B, H, W, C] -> endpoints by name.

  Endpoints are 'block1', 'block2', ... in `dtype`, [B, h, w, c]. The first two are
  taken after their pool. For images of 32 pixels they have the shapes [B, 16, 16, 96]
  and [B, 8, 8, 192], and all later ones [B, 8, 8, 192]. 'pooled' is the mean of the
  last block over space, float32 [B, 192]. Parameters and batch statistics are float32.

  Attributes:
    plans: (features, kernel size) of the convolutions of each block.
    dtype: type of the computation.
    bn_groups: groups of BatchNorm; see `layers.batch_norm`.
  """
  plans: tuple[Plan, ...]
  dtype: Any = jnp.float32
  bn_groups: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    x, endpoints = x.astype(self.dtype), {}
    # The zeros around the second block count in the mean, as in PyTorch.
    pools = {'block1': nn.max_pool,
             'block2': functools.partial(nn.avg_pool, count_include_pad=True)}
    for i, plan in enumerate(self.plans, start=1):
      name = f'block{i}'
      x = Block(plan, self.dtype, bn_groups=self.bn_groups, name=name)(x, train=train)
      if name in pools:
        x = pools[name](x, (3, 3), (2, 2), ((1, 1), (1, 1)))
      endpoints[name] = x
    endpoints['pooled'] = jnp.mean(x, (1, 2), dtype=jnp.float32)
    return endpoints


@config.parameters(
    blocks=config.Rule('Number of blocks, of which the paper compares 3, 4 and 5',
                       low=BLOCKS[0], high=BLOCKS[-1]),
    width=config.Rule('Multiplier of all widths; 32 times it must be a whole number',
                      above=0),
    bn_groups=layers.BN_GROUPS)
def build(*, dtype: Any = jnp.float32, blocks: int = 4, width: float = 1,
          bn_groups: int = 1) -> NIN:
  """Builds RotNet's network of 3, 4 or 5 blocks.

  With a classifier of 4 classes and width 1 it has 1,004,484, 1,411,140 or
  1,817,796 parameters.

  Args:
    dtype: type of the computation.
    blocks: number of blocks.
    width: factor of all widths; 32 times the width must be a whole number.
    bn_groups: groups of BatchNorm; see `layers.batch_norm`.

  Raises:
    errors.UserError: a value is not accepted.
  """
  if 32 * width != int(32 * width):
    raise errors.UserError(
        f'config.model.width is {width}; 32 times the width must be a positive whole '
        'number, as with 1, 0.5 or 1/32')
  scaled = lambda *plan: tuple((int(c * width), k) for c, k in plan)
  first = scaled((192, 5), (160, 1), (96, 1))
  second = scaled((192, 5), (192, 1), (192, 1))
  further = scaled((192, 3), (192, 1), (192, 1))
  return NIN((first, second) + (further,) * (blocks - 2), dtype, bn_groups)
