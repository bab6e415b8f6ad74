"""Runs a ResNet in float64 NumPy from arrays by torchvision's names, in evaluation.

It is written from the code of torchvision.models.resnet, and knows nothing of Flax.
"""

import itertools

import numpy as np
import numpy_networks


def conv(x, weight, stride):
  """Convolves [B, H, W, C] by a PyTorch weight [out, in, k, k], padding (k-1)/2."""
  return numpy_networks.conv(x, np.moveaxis(np.float64(weight), (0, 1), (3, 2)), stride)


def norm(x, tensors, name):
  mean, var, weight, bias = (np.float64(tensors[f'{name}.{leaf}']) for leaf in (
      'running_mean', 'running_var', 'weight', 'bias'))
  return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def block(x, tensors, name, stride):
  shortcut = x
  if f'{name}.downsample.0.weight' in tensors:
    shortcut = norm(conv(x, tensors[f'{name}.downsample.0.weight'], stride), tensors,
                    f'{name}.downsample.1')
  elif stride > 1:  # The CIFAR ResNets of He et al.: subsampling and zero channels.
    shortcut = x[:, ::stride, ::stride]
  strides = (1, stride, 1) if f'{name}.conv3.weight' in tensors else (stride, 1)
  for i, s in enumerate(strides, start=1):
    x = norm(conv(x, tensors[f'{name}.conv{i}.weight'], s), tensors, f'{name}.bn{i}')
    x = x if i == len(strides) else numpy_networks.relu(x)
  pad = x.shape[3] - shortcut.shape[3]
  return numpy_networks.relu(x + np.pad(shortcut, ((0, 0), (0, 0), (0, 0), (0, pad))))


def features(images, tensors):
  """Maps normalised images [B, H, W, C] to the pooled features [B, D]."""
  large = tensors['conv1.weight'].shape[2] == 7
  x = conv(np.float64(images), tensors['conv1.weight'], 2 if large else 1)
  x = numpy_networks.relu(norm(x, tensors, 'bn1'))
  x = numpy_networks.max_pool(x) if large else x
  for layer in itertools.count(1):
    if f'layer{layer}.0.conv1.weight' not in tensors:
      return x.mean((1, 2))
    for i in itertools.count():
      if f'layer{layer}.{i}.conv1.weight' not in tensors:
        break
      x = block(x, tensors, f'layer{layer}.{i}', 2 if layer > 1 and i == 0 else 1)
