"""Runs a vision transformer in float64 NumPy from arrays by timm's names.

It is written from the code of timm's `VisionTransformer`, and knows nothing of Flax.
"""

import itertools
import math

import numpy as np


def linear(x, tensors, name):
  weight, bias = (np.float64(tensors[f'{name}.{leaf}']) for leaf in ('weight', 'bias'))
  return x @ weight.reshape(len(weight), -1).T + bias


def layer_norm(x, tensors, name):
  centred = x - x.mean(-1, keepdims=True)
  x = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-6)
  return x * tensors[f'{name}.weight'] + tensors[f'{name}.bias']


def gelu(x):
  """Computes x times the distribution function of a standard normal variable."""
  return x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2


def attention(x, tensors, name, heads):
  q, k, v = np.split(linear(x, tensors, f'{name}.qkv'), 3, -1)
  outputs = []
  for a, b, c in zip(*(np.split(t, heads, -1) for t in (q, k, v)), strict=True):
    scores = np.exp(a @ b.swapaxes(1, 2) / np.sqrt(a.shape[-1]))
    outputs.append(scores / scores.sum(-1, keepdims=True) @ c)
  return linear(np.concatenate(outputs, -1), tensors, f'{name}.proj')


def stem(images, tensors):
  patch = tensors['patch_embed.proj.weight'].shape[-1]
  batch, height, width, _ = images.shape
  rows = [[images[:, i:i + patch, j:j + patch].transpose(0, 3, 1, 2).reshape(batch, -1)
           for j in range(0, width, patch)] for i in range(0, height, patch)]
  x = linear(np.stack(sum(rows, []), 1), tensors, 'patch_embed.proj')
  row = lambda name: np.repeat(np.float64(tensors[name]), batch, 0)
  if 'reg_token' not in tensors:
    return np.concatenate([row('cls_token'), x], 1) + tensors['pos_embed']
  return np.concatenate([row('cls_token'), row('reg_token'), x + tensors['pos_embed']],
                        1)


def vit(images, tensors, heads):
  """Returns the tokens after the stem, after each block and after the last norm."""
  x = stem(np.float64(images), tensors)
  found = [x]
  for i in itertools.count():
    name = f'blocks.{i}'
    if f'{name}.norm1.weight' not in tensors:
      return [*found, layer_norm(x, tensors, 'norm')]
    x = x + attention(layer_norm(x, tensors, f'{name}.norm1'), tensors, f'{name}.attn',
                      heads)
    y = gelu(linear(layer_norm(x, tensors, f'{name}.norm2'), tensors,
                    f'{name}.mlp.fc1'))
    x = x + linear(y, tensors, f'{name}.mlp.fc2')
    found.append(x)
