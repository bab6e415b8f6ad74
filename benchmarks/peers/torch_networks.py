"""Implements networks of ssl_jax/models in PyTorch, with the same module names.

It has those that the cases of the benchmarks use: ResNets with the shortcuts 'torch'
and 'identity', NIN, the projection head with BatchNorm and the linear head. The kernel
'encoder/stem/conv1/kernel' is `encoder.stem.conv1.weight` here.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

_RESNETS = {  # blocks per stage, channels of the first stage, whether bottlenecks
    'resnet18': ((2, 2, 2, 2), 64, False), 'resnet50': ((3, 4, 6, 3), 64, True),
    'resnet20': ((3, 3, 3), 16, False)}


def conv(inputs: int, features: int, kernel_size: int, strides: int = 1) -> nn.Conv2d:
  """Builds a square convolution without bias, padded by (kernel_size - 1) / 2.

  Args:
    inputs: number of input channels.
    features: number of output channels.
    kernel_size: side of the kernel in pixels.
    strides: stride in pixels.
  """
  return nn.Conv2d(inputs, features, kernel_size, strides, (kernel_size - 1) // 2,
                   bias=False)


class Block(nn.Module):
  """Computes relu(shortcut(x) + residual(x)); the first 3x3 convolution has the stride.

  Args:
    inputs: number of input channels.
    width: number of channels of the hidden convolutions.
    strides: stride in pixels.
    bottleneck: whether convolutions are 1x1, 3x3, 1x1 instead of 3x3, 3x3.
    shortcut: 'torch' or 'identity', see ssl_jax/models/resnet.py.
  """

  def __init__(self, inputs: int, width: int, strides: int, bottleneck: bool,
               shortcut: str):
    super().__init__()
    features = width * (4 if bottleneck else 1)
    plan = ([(width, 1, 1), (width, 3, strides), (features, 1, 1)] if bottleneck else
            [(width, 3, strides), (features, 3, 1)])
    self.layers, before = len(plan), inputs
    for i, (after, kernel_size, stride) in enumerate(plan, start=1):
      self.add_module(f'conv{i}', conv(before, after, kernel_size, stride))
      self.add_module(f'bn{i}', nn.BatchNorm2d(after))
      before = after
    nn.init.zeros_(self.get_submodule(f'bn{self.layers}').weight)
    self.strides, self.more = strides, features - inputs
    if shortcut == 'torch' and (strides > 1 or self.more):
      self.shortcut = nn.Sequential()
      self.shortcut.add_module('conv', conv(inputs, features, 1, strides))
      self.shortcut.add_module('bn', nn.BatchNorm2d(features))
    else:
      self.shortcut = None

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    if self.shortcut is not None:
      around = self.shortcut(x)
    else:
      around = x if self.strides == 1 else x[:, :, ::self.strides, ::self.strides]
      around = F.pad(around, (0, 0, 0, 0, 0, self.more)) if self.more else around
    for i in range(1, self.layers + 1):
      x = self.get_submodule(f'bn{i}')(self.get_submodule(f'conv{i}')(x))
      x = F.relu(x) if i < self.layers else x
    return F.relu(x + around)


class ResNet(nn.Module):
  """Maps images [N, 3, H, W] to features [N, D], the mean of the last stage.

  Args:
    sizes: number of blocks of each stage.
    width: number of channels of the first stage.
    bottleneck: whether blocks are bottlenecks.
    stem: 'cifar' or 'imagenet', see ssl_jax/models/resnet.py.
    shortcut: 'torch' or 'identity'.
  """

  def __init__(self, sizes: tuple[int, ...], width: int, bottleneck: bool, stem: str,
               shortcut: str):
    super().__init__()
    self.stem, self.imagenet = nn.Module(), stem == 'imagenet'
    self.stem.conv1 = conv(3, width, 7, 2) if self.imagenet else conv(3, width, 3)
    self.stem.bn1 = nn.BatchNorm2d(width)
    self.dim, self.stages = width, len(sizes)
    for i, size in enumerate(sizes):
      stage = nn.Sequential()
      for j in range(size):
        strides = 2 if i > 0 and j == 0 else 1
        stage.add_module(f'block{j + 1}', Block(
            self.dim, width * 2**i, strides, bottleneck, shortcut))
        self.dim = width * 2**i * (4 if bottleneck else 1)
      self.add_module(f'stage{i + 1}', stage)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = F.relu(self.stem.bn1(self.stem.conv1(x)))
    if self.imagenet:
      x = F.max_pool2d(x, 3, 2, 1)
    for i in range(self.stages):
      x = self.get_submodule(f'stage{i + 1}')(x)
    return x.float().mean((2, 3))


class NIN(nn.Module):
  """Maps images [N, 3, H, W] to features [N, 192].

  Blocks have three convolutions, and a pooling layer follows each of the first two
  blocks.
  """
  dim = 192

  def __init__(self, blocks: int):
    super().__init__()
    first, second = ((192, 5), (160, 1), (96, 1)), ((192, 5), (192, 1), (192, 1))
    plans = (first, second, *[((192, 3), (192, 1), (192, 1))] * (blocks - 2))
    self.blocks, inputs = blocks, 3
    for i, plan in enumerate(plans, start=1):
      block = nn.Sequential()
      for j, (features, kernel_size) in enumerate(plan, start=1):
        block.add_module(f'conv{j}', conv(inputs, features, kernel_size))
        block.add_module(f'bn{j}', nn.BatchNorm2d(features))
        block.add_module(f'relu{j}', nn.ReLU())
        inputs = features
      self.add_module(f'block{i}', block)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    for i in range(1, self.blocks + 1):
      x = self.get_submodule(f'block{i}')(x)
      if i == 1:
        x = F.max_pool2d(x, 3, 2, 1)
      elif i == 2:
        x = F.avg_pool2d(x, 3, 2, 1)
    return x.float().mean((2, 3))


class Projector(nn.Module):
  """Projection head of dense layers with BatchNorm; the last has a scale and no bias.

  Args:
    inputs: dimension of the features, and of hidden layers.
    layers: number of dense layers.
    dim: dimension of the embeddings.
  """

  def __init__(self, inputs: int, layers: int, dim: int):
    super().__init__()
    self.layers = layers
    for i in range(1, layers + 1):
      features = dim if i == layers else inputs
      self.add_module(f'dense{i}', nn.Linear(inputs, features, bias=False))
      norm = nn.BatchNorm1d(features)
      if i == layers:
        norm.register_parameter('bias', None)
      self.add_module(f'bn{i}', norm)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    for i in range(1, self.layers + 1):
      x = self.get_submodule(f'dense{i}')(x).float()
      x = self.get_submodule(f'bn{i}')(x)
      x = F.relu(x) if i < self.layers else x
    return x


class Network(nn.Module):
  """Maps images [N, 3, H, W] to embeddings or logits [N, D], by encoder and head.

  Args:
    config: plain config of a case.
  """

  def __init__(self, config: dict[str, Any]):
    super().__init__()
    self.encoder = _encoder(**config['model'])
    if config['method']['name'] == 'simclr':
      self.projector = Projector(self.encoder.dim, config['projector']['layers'],
                                 config['projector']['dim'])
    else:
      self.head = nn.Module()
      self.head.dense = nn.Linear(self.encoder.dim, 4)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    x = self.encoder(x)
    return self.projector(x) if hasattr(self, 'projector') else self.head.dense(x)


def _encoder(name: str, width: int = 1, stem: str = 'imagenet',
             blocks: int = 4) -> nn.Module:
  if name == 'nin':
    return NIN(blocks)
  sizes, channels, bottleneck = _RESNETS[name]
  small = name == 'resnet20'
  return ResNet(sizes, int(channels * width), bottleneck, 'cifar' if small else stem,
                'identity' if small else 'torch')
