"""Defines residual networks: ResNet-18 to 200, and ResNet-8 to 56 for CIFAR.

The networks are from He et al. 2016, arXiv:1512.03385. The wide and selective-kernel
variants are those of SimCLR v2 (Chen et al. 2020, arXiv:2006.10029). The 3x3
convolution of a bottleneck has the stride ("v1.5"), as in google-research/simclr and
torchvision.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import config, errors
from ssl_jax.models import layers

STEMS = {
    'cifar': 'a 3x3 convolution at full resolution',
    'imagenet': 'a 7x7 convolution and a max-pool, to a quarter of the resolution',
}
MAX_POOLS = {
    'symmetric': 'one pixel on each side, as in PyTorch',
    'same': "as TensorFlow's 'SAME', which pads even sides at the bottom and right "
            'only, in google-research/simclr',
}
SHORTCUTS = {
    'google': 'a projection in the first block of every stage',
    'torch': 'a projection only where the shape changes (He et al., option B)',
    'identity': 'no projection: subsampling and zero channels (option A)',
}


class ResNet(nn.Module):
  """Residual network: normalised images [B, H, W, C] -> endpoints by name.

  Endpoints are 'stem', 'stage1', 'stage2', ... in `dtype`, [B, h, w, c], after
  their last ReLU (and the stem's max-pool), and 'pooled', the mean of the last
  stage over space, float32 [B, c]. Parameters and batch statistics are float32.

  Attributes:
    stage_sizes: number of blocks of each stage. Every stage after the first halves
      the resolution and doubles the width.
    base_width: number of channels of the first stage. If blocks are bottlenecks, its
      output has four times as many.
    bottleneck: whether blocks are 1x1, 3x3, 1x1 instead of 3x3, 3x3.
    stem: a key of `STEMS`.
    shortcut: a key of `SHORTCUTS`.
    sk_ratio: reduction ratio of the selective kernels in the bottlenecks; 0 for none.
      With selective kernels, the stem and the shortcuts are those of ResNet-D
      (arXiv:1812.01187), as in google-research/simclr.
    dtype: type of the computation.
    bn_groups: groups of BatchNorm; see `layers.batch_norm`.
    max_pool: padding of the stem's max-pool, a key of `MAX_POOLS`.
  """
  stage_sizes: tuple[int, ...]
  base_width: int
  bottleneck: bool
  stem: str
  shortcut: str
  sk_ratio: float = 0.0
  dtype: Any = jnp.float32
  bn_groups: int = 1
  max_pool: str = 'symmetric'

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    x = Stem(self.base_width, self.stem, self.sk_ratio > 0, self.dtype,
             self.bn_groups, self.max_pool, name='stem')(
                 x.astype(self.dtype), train=train)
    endpoints = {'stem': x}
    for i, size in enumerate(self.stage_sizes):
      name = f'stage{i + 1}'
      x = endpoints[name] = Stage(
          size, self.base_width * 2**i, 1 if i == 0 else 2, self.bottleneck,
          self.shortcut, self.sk_ratio, self.dtype, self.bn_groups, name=name)(
              x, train=train)
    endpoints['pooled'] = jnp.mean(x, (1, 2), dtype=jnp.float32)
    return endpoints


class Stem(nn.Module):
  """Computes what precedes the residual blocks."""
  width: int
  kind: str
  resnet_d: bool
  dtype: Any
  bn_groups: int
  max_pool: str

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    if self.kind == 'cifar':
      plan = [(self.width, 3, 1)]
    elif self.resnet_d:
      plan = [(self.width // 2, 3, 2), (self.width // 2, 3, 1), (self.width, 3, 1)]
    else:
      plan = [(self.width, 7, 2)]
    for i, (features, kernel_size, strides) in enumerate(plan):
      x = layers.conv(features, kernel_size, strides, dtype=self.dtype,
                      name=f'conv{i + 1}')(x)
      x = nn.relu(layers.batch_norm(train=train, dtype=self.dtype,
                                    groups=self.bn_groups, name=f'bn{i + 1}')(x))
    if self.kind == 'imagenet':
      padding = 'SAME' if self.max_pool == 'same' else ((1, 1), (1, 1))
      x = nn.max_pool(x, (3, 3), (2, 2), padding)
    return x


class Stage(nn.Module):
  """Residual blocks at one resolution; the first block may change the shape."""
  size: int
  width: int
  strides: int
  bottleneck: bool
  shortcut: str
  sk_ratio: float
  dtype: Any
  bn_groups: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    features = self.width * (4 if self.bottleneck else 1)
    reshapes = self.strides > 1 or x.shape[-1] != features
    project = self.shortcut == 'google' or self.shortcut == 'torch' and reshapes
    for i in range(self.size):
      x = Block(self.width, self.strides if i == 0 else 1, self.bottleneck,
                project and i == 0, self.sk_ratio, self.dtype, self.bn_groups,
                name=f'block{i + 1}')(x, train=train)
    return x


class Block(nn.Module):
  """Residual block, relu(shortcut(x) + residual(x)).

  The residual is initialised as 0 by the scale of its last BatchNorm, except where the
  shortcut appends zero channels. Both would be 0 there: the ReLU would have no
  gradient, and those channels would stay 0 for ever.
  """
  width: int
  strides: int
  bottleneck: bool
  project: bool
  sk_ratio: float
  dtype: Any
  bn_groups: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    conv = functools.partial(layers.conv, dtype=self.dtype)
    norm = functools.partial(layers.batch_norm, train=train, dtype=self.dtype,
                             groups=self.bn_groups)
    features = self.width * (4 if self.bottleneck else 1)
    starts_at_0 = self.project or x.shape[-1] == features
    if self.project:
      shortcut = Projection(features, self.strides, self.sk_ratio > 0,
                            self.dtype, self.bn_groups, name='shortcut')(x, train=train)
    else:
      shortcut = _identity(x, features, self.strides)

    if not self.bottleneck:
      x = nn.relu(norm(name='bn1')(
          conv(self.width, 3, self.strides, name='conv1')(x)))
      x = norm(name='bn2', zero_scale=starts_at_0)(conv(features, 3, name='conv2')(x))
      return layers.residual_relu(x + shortcut)

    x = nn.relu(norm(name='bn1')(conv(self.width, 1, name='conv1')(x)))
    if self.sk_ratio:
      x = SelectiveKernel(self.width, self.strides, self.sk_ratio, self.dtype,
                          self.bn_groups, name='sk')(x, train=train)
    else:
      x = nn.relu(norm(name='bn2')(
          conv(self.width, 3, self.strides, name='conv2')(x)))
    x = norm(name='bn3', zero_scale=starts_at_0)(conv(features, 1, name='conv3')(x))
    return layers.residual_relu(x + shortcut)


class Projection(nn.Module):
  """Shortcut that changes the shape: 1x1 convolution and BatchNorm."""
  features: int
  strides: int
  resnet_d: bool
  dtype: Any
  bn_groups: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    strides = self.strides
    if self.resnet_d:
      # google-research/simclr pools at stride 1 too. Its mean includes the padding
      # only with a stride, because only then the code pads explicitly.
      x = nn.avg_pool(x, (2, 2), (strides, strides), ((0, 1), (0, 1)),
                      count_include_pad=strides > 1)
      strides = 1
    x = layers.conv(self.features, 1, strides, dtype=self.dtype, name='conv')(x)
    return layers.batch_norm(train=train, dtype=self.dtype, groups=self.bn_groups,
                             name='bn')(x)


def _identity(x: jax.Array, features: int, strides: int) -> jax.Array:
  """Returns the shortcut of option A of He et al., section 3.3.

  It subsamples x and appends zero channels; if the shape does not change, it is x.
  """
  x = x[:, ::strides, ::strides]
  return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])))


class SelectiveKernel(nn.Module):
  """Two 3x3 convolutions, mixed with weights that depend on the image and channel.

  The weights are a softmax over the two convolutions (Li et al. 2019,
  arXiv:1903.06586). Both kernels are 3x3, as in SimCLR v2.
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


@config.parameters(
    width=config.Rule('Multiplier of all widths; 64 times it must be a whole number',
                      above=0),
    stem=config.Rule("First layers; 'cifar' is for images of about 32 pixels",
                     choices=STEMS),
    sk_ratio=config.Rule('Reduction ratio of selective kernels; SimCLR v2 uses 0.0625, '
                         'and 0 is without them', low=0, high=1),
    shortcut=config.Rule("Form of the shortcuts; 'google' and 'torch' differ only in "
                         'ResNet-18 and ResNet-34', choices=SHORTCUTS),
    bn_groups=layers.BN_GROUPS,
    max_pool=config.Rule("Padding of the max-pool in the stem 'imagenet'; 'same' is "
                         'that of google-research/simclr', choices=MAX_POOLS))
def build(stage_sizes: tuple[int, ...], bottleneck: bool, *,
          dtype: Any = jnp.float32, width: float = 1, stem: str = 'imagenet',
          sk_ratio: float = 0.0, shortcut: str = 'torch',
          bn_groups: int = 1, max_pool: str = 'symmetric') -> ResNet:
  """Builds ResNet-18 to 200: four stages, 64 * `width` channels in the first.

  Args:
    stage_sizes: number of blocks of each stage.
    bottleneck: whether blocks are bottlenecks.
    dtype: type of the computation.
    width: factor of all widths; 64 times the width must be a whole number.
    stem: a key of `STEMS`.
    sk_ratio: reduction ratio of selective kernels; 0 for none.
    shortcut: a key of `SHORTCUTS`.
    bn_groups: groups of BatchNorm; see `layers.batch_norm`.
    max_pool: a key of `MAX_POOLS`.

  Raises:
    errors.UserError: a value is not accepted.
  """
  if sk_ratio and not bottleneck:
    raise errors.UserError(
        f'config.model.sk_ratio is {sk_ratio}, but ResNet-18 and 34 have no '
        'bottlenecks, which selective kernels need; set config.model.name to resnet50 '
        'or a deeper network, or config.model.sk_ratio to 0')
  return ResNet(tuple(stage_sizes), _base_width(64, width), bottleneck, stem,
                shortcut, sk_ratio, dtype, bn_groups, max_pool)


@config.parameters(
    width=config.Rule('Multiplier of all widths; 16 times it must be a whole number',
                      above=0),
    shortcut=config.Rule("Form of the shortcuts; 'identity' is that of the paper, and "
                         'the others have 1x1 convolutions', choices=SHORTCUTS),
    bn_groups=layers.BN_GROUPS)
def build_cifar(blocks: int, *, dtype: Any = jnp.float32, width: float = 1,
                shortcut: str = 'identity', bn_groups: int = 1) -> ResNet:
  """Builds ResNets for CIFAR: three stages, 16 * `width` channels in the first.

  They are those of He et al., section 4.2. ResNet-20 has 269,072 parameters with the
  paper's identity shortcuts, and 271,824 with 'torch' (1x1 projections, as in many
  reimplementations).

  Args:
    blocks: n, the number of blocks of a stage; the depth is 6n+2.
    dtype: type of the computation.
    width: factor of all widths; 16 times the width must be a whole number.
    shortcut: a key of `SHORTCUTS`.
    bn_groups: groups of BatchNorm; see `layers.batch_norm`.

  Raises:
    errors.UserError: a value is not accepted.
  """
  return ResNet((blocks,) * 3, _base_width(16, width), False, 'cifar', shortcut,
                dtype=dtype, bn_groups=bn_groups)


def _base_width(channels: int, width: float) -> int:
  if channels * width != int(channels * width):
    raise errors.UserError(
        f'config.model.width is {width}; {channels} times the width must be a '
        f'positive whole number, as with 1, 2, 0.5 or 1/{channels}')
  return int(channels * width)
