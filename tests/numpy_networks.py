"""Residual networks by hand in float64 NumPy, for tests/test_models_resnet.py.

Written from the papers, over a tree of parameters, so that neither Flax nor XLA
has a say in padding, strides or normalisation.
"""

import numpy as np


def conv(x, kernel, stride=1):
  """Cross-correlation with (k-1)/2 zeros on every side."""
  k = kernel.shape[0]
  p = (k - 1) // 2
  x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
  height, width = ((n - k) // stride + 1 for n in x.shape[1:3])
  y = np.zeros((x.shape[0], height, width, kernel.shape[-1]))
  for i in range(height):
    for j in range(width):
      patch = x[:, i * stride:i * stride + k, j * stride:j * stride + k]
      y[:, i, j] = np.einsum('bhwc,hwcd->bd', patch, kernel)
  return y


def batch_norm(x, params):
  axes = tuple(range(x.ndim - 1))
  mean = x.mean(axes)
  var = np.square(x - mean).mean(axes)
  return (x - mean) / np.sqrt(var + 1e-5) * params['scale'] + params['bias']


def relu(x):
  return np.maximum(x, 0)


def max_pool(x):
  """3x3, stride 2, one row and column of -inf around."""
  x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
  rows, cols = range(0, x.shape[1] - 2, 2), range(0, x.shape[2] - 2, 2)
  return np.stack([np.stack([x[:, i:i + 3, j:j + 3].max((1, 2)) for j in cols], 1)
                   for i in rows], 1)


def mean_pool(x, stride):
  """2x2. TensorFlow's SAME at stride 1 (padding not counted), even sizes at 2."""
  rows, cols = range(0, x.shape[1], stride), range(0, x.shape[2], stride)
  return np.stack([np.stack([x[:, i:i + 2, j:j + 2].mean((1, 2)) for j in cols], 1)
                   for i in rows], 1)


def stem(x, params, pool):
  stride = 2 if pool else 1
  for i in range(1, len(params) // 2 + 1):
    x = conv(x, params[f'conv{i}']['kernel'], stride)
    x = relu(batch_norm(x, params[f'bn{i}']))
    stride = 1
  return max_pool(x) if pool else x


def selective_kernel(x, params, stride):
  x = relu(batch_norm(conv(x, params['conv']['kernel'], stride), params['bn']))
  a, b = np.split(x, 2, axis=-1)
  h = (a + b).mean((1, 2)) @ params['reduce']['kernel']
  h = relu(batch_norm(h, params['bn_reduce'])) @ params['mix']['kernel']
  u, v = np.split(h, 2, axis=-1)
  share = 1 / (1 + np.exp(v - u))  # a softmax of two
  share = share[:, None, None]
  return a * share + b * (1 - share)


def block(x, params, stride):
  if 'shortcut' in params:
    shortcut, s = x, stride
    if 'sk' in params:
      shortcut, s = mean_pool(x, stride), 1
    shortcut = conv(shortcut, params['shortcut']['conv']['kernel'], s)
    shortcut = batch_norm(shortcut, params['shortcut']['bn'])
  else:
    shortcut = x[:, ::stride, ::stride]
  if 'conv3' not in params:
    plan = [(1, stride), (2, 1)]
  else:
    plan = [(1, 1), (2, stride), (3, 1)]
  for i, s in plan:
    if i == 2 and 'sk' in params:
      x = selective_kernel(x, params['sk'], s)
      continue
    x = batch_norm(conv(x, params[f'conv{i}']['kernel'], s), params[f'bn{i}'])
    x = x if i == len(plan) else relu(x)
  missing = x.shape[-1] - shortcut.shape[-1]
  return relu(x + np.pad(shortcut, ((0, 0), (0, 0), (0, 0), (0, missing))))


def resnet(x, params, imagenet_stem):
  """Training mode: every normalisation uses the statistics of `x`."""
  x = stem(np.asarray(x, np.float64), params['stem'], imagenet_stem)
  endpoints = {'stem': x}
  for i in range(1, len(params)):
    stage = params[f'stage{i}']
    for j in range(1, len(stage) + 1):
      x = block(x, stage[f'block{j}'], 2 if i > 1 and j == 1 else 1)
    endpoints[f'stage{i}'] = x
  endpoints['pooled'] = x.mean((1, 2))
  return endpoints
