"""Compares single convolutions of XLA:CPU and PyTorch (oneDNN), and their gradients.

    python -m benchmarks.convolutions_cpu

It shows which layers make a training step slower than PyTorch's on a CPU. Torch must be
installed. Both frameworks run in this process, in turns; each time is the shortest of
several, in float32 on all cores. Images are NHWC in XLA; PyTorch has channels_last.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Layer(NamedTuple):
  """A 3x3 convolution: images, pixels of a side, channels in and out, stride."""
  images: int
  side: int
  inputs: int
  outputs: int
  stride: int

  @property
  def gflop(self) -> float:
    """The GFLOP of one pass; each of the two gradients takes as many."""
    pixels = self.images * (self.side // self.stride) ** 2
    return 2 * 9 * self.inputs * self.outputs * pixels / 1e9


# Those of ResNet-20 with 64 pairs, and of ResNet-18 with 16.
LAYERS = (Layer(128, 32, 16, 16, 1), Layer(128, 32, 16, 32, 2),
          Layer(128, 16, 32, 32, 1), Layer(128, 8, 64, 64, 1),
          Layer(32, 32, 64, 64, 1), Layer(32, 16, 128, 128, 1))
PASSES = ('forward', 'gradient of images', 'gradient of kernel')


def jax_passes(layer: Layer) -> list[Callable[[], Any]]:
  """Returns functions that compute each of `PASSES` with JAX, and wait for it."""
  images, kernel, gradient = map(jnp.asarray, _arrays(layer))
  convolve = functools.partial(
      jax.lax.conv_general_dilated, window_strides=(layer.stride,) * 2,
      padding=((1, 1), (1, 1)), dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  functions = (
      convolve,
      lambda x, w: jax.vjp(lambda x: convolve(x, w), x)[1](gradient)[0],
      lambda x, w: jax.vjp(lambda w: convolve(x, w), w)[1](gradient)[0])
  return [lambda f=jax.jit(f): jax.block_until_ready(f(images, kernel))
          for f in functions]


def torch_passes(layer: Layer) -> list[Callable[[], Any]]:
  """Returns functions that compute each of `PASSES` with PyTorch."""
  import torch
  images, kernel, gradient = (
      torch.from_numpy(x.transpose(axes).copy()).contiguous(
          memory_format=torch.channels_last)
      for x, axes in zip(_arrays(layer), ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)),
                         strict=True))
  stride = [layer.stride] * 2

  def backward(of_images, of_kernel):
    return torch.ops.aten.convolution_backward(
        gradient, images, kernel, None, stride, [1, 1], [1, 1], False, [0, 0], 1,
        [of_images, of_kernel, False])

  return [lambda: torch.nn.functional.conv2d(images, kernel, stride=stride, padding=1),
          lambda: backward(True, False)[0], lambda: backward(False, True)[1]]


def compare(layer: Layer, rounds: int) -> list[tuple[float, float]]:
  """Returns the shortest milliseconds of JAX and of PyTorch, for each of `PASSES`.

  Args:
    layer: the convolution.
    rounds: number of calls of each framework, in turns.
  """
  found = []
  for pair in zip(jax_passes(layer), torch_passes(layer), strict=True):
    times = [[], []]
    for _ in range(rounds + 1):  # the first call compiles
      for function, kept in zip(pair, times, strict=True):
        start = time.perf_counter()
        function()
        kept.append(1e3 * (time.perf_counter() - start))
    found.append(tuple(min(kept[1:]) for kept in times))
  return found


def main() -> None:
  """Prints a line for each layer."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--rounds', type=int, default=20, help='calls of each framework')
  rounds = parser.parse_args().rounds
  print(f'JAX {jax.__version__}; milliseconds of JAX / of PyTorch')
  print(f'{"images, side, channels, stride":34}{"GFLOP":>6}', *(
      f'{name:>20}' for name in PASSES), '   PyTorch / JAX')
  for layer in LAYERS:
    times = compare(layer, rounds)
    shape = (f'{layer.images}, {layer.side}, {layer.inputs} to {layer.outputs}, '
             f'{layer.stride}')
    ratio = statistics.mean(theirs / ours for ours, theirs in times)
    print(f'{shape:34}{layer.gflop:6.2f}', *(
        f'{f"{ours:.1f} / {theirs:.1f}":>20}' for ours, theirs in times),
          f'{ratio:16.2f}')


def _arrays(layer: Layer) -> list[np.ndarray]:
  """Draws images, a kernel and the gradient of the result, in JAX's layouts."""
  small, draw = layer.side // layer.stride, np.random.default_rng(0).standard_normal
  shapes = ((layer.images, layer.side, layer.side, layer.inputs),
            (3, 3, layer.inputs, layer.outputs),
            (layer.images, small, small, layer.outputs))
  return [draw(shape, np.float32) for shape in shapes]


if __name__ == '__main__':
  main()
