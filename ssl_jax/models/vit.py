"""Defines vision transformers: ViT-Ti, ViT-S and ViT-B.

The networks are from Dosovitskiy et al. 2020, arXiv:2010.11929, with the widths of
Touvron et al. 2020, arXiv:2012.12877, and the layers of timm's
`vit_tiny_patch16_224`, `vit_small_patch16_224` and `vit_base_patch16_224`. Register
tokens are from Darcet et al. 2023, arXiv:2309.16588. The fixed position embedding, the
frozen patch projection and the initialisation are those of MoCo v3 (Chen et al. 2021,
arXiv:2104.02057, section 4, and its code).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax import config, errors
from ssl_jax.models import layers

POSITIONS = {
    'learned': 'a learned vector for each patch',
    'sincos': 'sines and cosines of the row and the column, as in MoCo v3',
}
_TOKEN = nn.initializers.normal(1e-6)
_EPSILON = 1e-6  # of LayerNorm, as in timm


class ViT(nn.Module):
  """Vision transformer: normalised images [B, H, W, C] -> endpoints by name.

  Endpoints are float32. 'stem' is the input of the blocks, and 'block1', 'block2', ...
  are their outputs: maps of the patches, [B, h, w, D] with h = H / patch and
  w = W / patch, without class token and registers. 'tokens' is the last map after the
  final LayerNorm. 'pooled', [B, D], is the class token after the final LayerNorm.

  Matrix products are in `dtype`. LayerNorm, the softmax and the sums of the residual
  branches are in float32, as with autocast of PyTorch, and parameters are float32.

  The position embedding has as many vectors as the images of the training have patches.
  Therefore all images must have the same size.

  Attributes:
    width: D, the number of channels of a token.
    depth: number of blocks.
    heads: number of heads of the attention.
    patch: side of a patch in pixels, which must divide the sides of the images.
    registers: number of register tokens. With registers, the position embedding
      belongs to the patches alone, as in timm's networks with registers; otherwise the
      class token has one too.
    position: a key of `POSITIONS`.
    freeze_patch: whether pre-training leaves the patch projection random.
    dtype: type of the matrix products.
  """
  width: int
  depth: int
  heads: int
  patch: int
  registers: int = 0
  position: str = 'learned'
  freeze_patch: bool = False
  dtype: Any = jnp.float32

  @property
  def frozen(self) -> tuple[str, ...]:
    """Names of modules and parameters that pre-training does not change."""
    return (*(('patch',) if self.freeze_patch else ()),
            *(('position',) if self.position == 'sincos' else ()))

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> dict[str, jax.Array]:
    del train  # No layer behaves differently in training.
    grid = x.shape[1] // self.patch, x.shape[2] // self.patch
    x = Stem(self.width, self.patch, self.registers, self.position, self.dtype,
             name='stem')(x)
    patches = lambda x: x[:, 1 + self.registers:].reshape(-1, *grid, self.width)
    endpoints = {'stem': patches(x)}
    for i in range(self.depth):
      name = f'block{i + 1}'
      x = Block(self.heads, self.dtype, name=name)(x)
      endpoints[name] = patches(x)
    x = _layer_norm('norm')(x)
    return endpoints | {'tokens': patches(x), 'pooled': x[:, 0]}


class Stem(nn.Module):
  """Makes tokens, float32 [B, 1 + registers + patches, D], the class token first."""
  width: int
  patch: int
  registers: int
  position: str
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    images, height, width, channels = x.shape
    _check_sides(height, width, self.patch)
    fan_in = self.patch**2 * channels
    x = layers.conv(self.width, self.patch, self.patch, padding=0, use_bias=True,
                    dtype=self.dtype, kernel_init=_uniform(fan_in, self.width),
                    name='patch')(x)
    grid = x.shape[1:3]
    x = x.astype(jnp.float32).reshape(images, -1, self.width)
    position = self._position(grid)[None]
    row = lambda x: jnp.broadcast_to(x, (images, *x.shape))
    first = self.param('class_token', _TOKEN, (self.width,))[None]
    if not self.registers:
      return jnp.concatenate([row(first), x], 1) + position
    registers = self.param('registers', _TOKEN, (self.registers, self.width))
    return jnp.concatenate([row(first), row(registers), x + position], 1)

  def _position(self, grid: tuple[int, int]) -> jax.Array:
    """Returns the position embedding; without registers, that of the class is first."""
    shape = (grid[0] * grid[1] + (not self.registers), self.width)
    if self.has_variable('params', 'position'):
      made_for = self.get_variable('params', 'position').shape
      if made_for != shape:
        raise errors.UserError(
            f'the position embedding of the ViT is for '
            f'{made_for[0] - (not self.registers)} patches, but an image of '
            f'{grid[0] * self.patch} x {grid[1] * self.patch} pixels has '
            f'{grid[0]} x {grid[1]} = {grid[0] * grid[1]}; give all images and views '
            'the size of the training by config.augment.size')
    if self.position == 'learned':
      return self.param('position', nn.initializers.normal(0.02), shape)
    fixed = np.pad(sincos(*grid, self.width), ((shape[0] - grid[0] * grid[1], 0),
                                               (0, 0)))
    return self.param('position', lambda key: jnp.asarray(fixed))


class Block(nn.Module):
  """Attention between the tokens and a perceptron for each, after LayerNorm each."""
  heads: int
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    width = x.shape[-1]

    def dense(features, x, name):
      # Queries, keys and values are initialised as three layers, as in MoCo v3.
      outputs = width if name == 'qkv' else features
      return layers.dense(features, dtype=self.dtype, use_bias=True, name=name,
                          kernel_init=_uniform(x.shape[-1], outputs))(x)

    y = dense(3 * width, _layer_norm('norm1')(x), 'qkv').astype(self.dtype)
    q, k, v = jnp.moveaxis(
        y.reshape(*y.shape[:2], 3, self.heads, width // self.heads), 2, 0)
    y = jax.nn.dot_product_attention(q, k, v).reshape(x.shape)
    x = x + dense(width, y, 'proj')
    y = dense(4 * width, _layer_norm('norm2')(x), 'fc1').astype(self.dtype)
    return x + dense(width, jax.nn.gelu(y, approximate=False), 'fc2')


def sincos(height: int, width: int, channels: int) -> np.ndarray:
  """Returns the position embedding of MoCo v3, float32 [height * width, channels].

  A quarter of the channels each are the sine and the cosine of the row and of the
  column, times frequencies from 1 down to 1/10000. MoCo v3 defines it for square images
  only, where the columns of the grid are called its height.

  Args:
    height: number of rows of patches.
    width: number of patches in a row.
    channels: number of channels, a multiple of 4.
  """
  frequencies = 10000. ** -(np.arange(channels // 4) / (channels // 4))
  rows, columns = np.mgrid[:height, :width].reshape(2, -1, 1) * frequencies
  return np.concatenate([np.sin(rows), np.cos(rows), np.sin(columns), np.cos(columns)],
                        1).astype(np.float32)


@config.parameters(
    patch=config.Rule('Side of a patch in pixels, which divides the sides of images; '
                      '16 is for images of 224 pixels, and 4 for 32 pixels', low=1),
    width=config.Rule('Multiplier of all widths; the result must be a multiple of 4 '
                      'and of the number of heads', above=0),
    depth=config.Rule('Number of blocks', low=1),
    heads=config.Rule("Number of heads of the attention; timm's networks have 3, 6 and "
                      "12, and MoCo v3's ViT-S has 12", low=1),
    registers=config.Rule('Number of register tokens (arXiv:2309.16588)', low=0),
    position=config.Rule("Position embedding; pre-training leaves 'sincos' fixed, and "
                         'fine-tuning trains it', choices=POSITIONS),
    freeze_patch=config.Rule('Whether pre-training leaves the patch projection random, '
                             'as in MoCo v3; fine-tuning trains it'))
def build(channels: int, *, dtype: Any = jnp.float32, patch: int = 16, width: float = 1,
          depth: int = 12, heads: int = 12, registers: int = 0,
          position: str = 'learned', freeze_patch: bool = False) -> ViT:
  """Builds ViT-Ti, ViT-S or ViT-B, of `channels` * `width` channels.

  For 224 pixels and without a classifier they have 5,524,416, 21,665,664 and 85,798,656
  parameters.

  Args:
    channels: number of channels of a token if `width` is 1: 192, 384 or 768.
    dtype: type of the matrix products.
    patch: side of a patch in pixels.
    width: factor of the width.
    depth: number of blocks.
    heads: number of heads of the attention.
    registers: number of register tokens.
    position: a key of `POSITIONS`.
    freeze_patch: whether pre-training leaves the patch projection random.

  Raises:
    errors.UserError: a value is not accepted.
  """
  size = round(channels * width, 6)  # 56 / 192 * 192 is not exactly 56.
  if size % 4 or size % heads:
    raise errors.UserError(
        f'config.model.width is {width} and config.model.heads is {heads}; {channels} '
        f'times the width is {size:g}, which must be a multiple of 4 and of the number '
        'of heads, as with --config.model.width=1 --config.model.heads='
        f'{channels // 64}')
  return ViT(int(size), depth, heads, patch, registers, position, freeze_patch, dtype)


def _layer_norm(name: str) -> nn.LayerNorm:
  return nn.LayerNorm(_EPSILON, dtype=jnp.float32, use_fast_variance=False, name=name)


def _uniform(fan_in: int, fan_out: int) -> nn.initializers.Initializer:
  """Returns Glorot's uniform initialiser for given numbers of inputs and outputs."""
  bound = (6 / (fan_in + fan_out)) ** 0.5
  return lambda key, shape, dtype=jnp.float32: jax.random.uniform(
      key, shape, dtype, -bound, bound)


def _check_sides(height: int, width: int, patch: int) -> None:
  if height % patch or width % patch:
    divisor = max(p for p in range(1, patch + 1)
                  if height % p == 0 and width % p == 0)
    raise errors.UserError(
        f'config.model.patch is {patch}, which does not divide the sides of images of '
        f'{height} x {width} pixels; set --config.model.patch={divisor}, or another '
        'size by config.augment.size')
