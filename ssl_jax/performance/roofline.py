"""Counts FLOPs and bytes of a network from its trace, and bounds its speed by them."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend import core

from ssl_jax.parallel import platforms
from ssl_jax.performance import hardware


@dataclasses.dataclass(frozen=True)
class Layer:
  """Describes one convolution or matrix product of a forward pass.

  Attributes:
    macs: number of multiply-accumulates, each of which is two FLOPs.
    inputs: number of elements of the input activations.
    outputs: number of elements of the output.
    is_conv: whether it is a convolution.
  """
  macs: int
  inputs: int
  outputs: int
  is_conv: bool


def trace(function: Callable[..., Any], *args: Any) -> list[Layer]:
  """Returns the layers of `function(*args)` in the order of execution.

  Loops of known length count every iteration. All branches of a condition count.

  Args:
    function: the function to trace; it is not computed.
    *args: arrays, or their shapes.
  """
  # For CPUs, 1x1 convolutions would be traced as matrix products.
  with platforms.compile_for('tpu'):
    jaxpr = jax.make_jaxpr(function)(*args)
  return list(_layers(jaxpr.jaxpr))


def network(module: Any, image_shape: Sequence[int]) -> list[Layer]:
  """Returns the layers of a Linen module for one image of shape [H, W, C]."""
  image = jax.ShapeDtypeStruct((1, *image_shape), 'float32')
  variables = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, train=False),
                             image)
  return trace(lambda v, x: module.apply(v, x, train=False), variables, image)


def _layers(jaxpr: core.Jaxpr) -> Iterator[Layer]:
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == 'conv_general_dilated':
      yield _conv(eqn)
    elif eqn.primitive.name == 'dot_general':
      yield _dot(eqn)
    for inner, times in _inner(eqn):
      for _ in range(times):
        yield from _layers(inner)


def _conv(eqn: core.JaxprEqn) -> Layer:
  image, kernel = (v.aval.shape for v in eqn.invars)
  out = eqn.outvars[0].aval.shape
  channels = kernel[eqn.params['dimension_numbers'].rhs_spec[0]]
  return Layer(math.prod(out) * math.prod(kernel) // channels, math.prod(image),
               math.prod(out), True)


def _dot(eqn: core.JaxprEqn) -> Layer:
  left, _ = (v.aval.shape for v in eqn.invars)
  out = math.prod(eqn.outvars[0].aval.shape)
  (contracted, _), _ = eqn.params['dimension_numbers']
  return Layer(out * math.prod(left[i] for i in contracted), math.prod(left), out,
               False)


def _inner(eqn: core.JaxprEqn) -> Iterator[tuple[core.Jaxpr, int]]:
  """Yields the functions that an operation calls, and how often it calls them."""
  times = eqn.params.get('length', 1) if eqn.primitive.name == 'scan' else 1
  if eqn.primitive.name == 'shard_map':  # shapes inside are those of one device
    times = eqn.params['mesh'].size
  for value in eqn.params.values():
    for candidate in value if isinstance(value, tuple | list) else (value,):
      candidate = getattr(candidate, 'jaxpr', candidate)
      if isinstance(candidate, core.Jaxpr):
        yield candidate, times


def forward_flops(layers: Sequence[Layer]) -> int:
  """Returns the FLOPs of one forward pass."""
  return 2 * sum(layer.macs for layer in layers)


def train_flops(layers: Sequence[Layer]) -> int:
  """Returns the FLOPs of a training step, three times those of a forward pass.

  The gradients by inputs and by weights take as many as a forward pass each.
  """
  return 3 * forward_flops(layers)


def activations(layers: Sequence[Layer]) -> int:
  """Returns the number of elements that convolutions write in a forward pass."""
  return sum(layer.outputs for layer in layers if layer.is_conv)


def seconds(layers: Sequence[Layer], device: hardware.Device, itemsize: int,
            trained: bool = True) -> float:
  """Returns the shortest possible seconds of a training step of a network.

  Layers are executed one after the other. The time of each is bound by its FLOPs or by
  the bytes of memory that it reads and writes: one forward and two backward passes,
  each of which touches inputs and outputs once. The time of its normalisation is bound
  by memory. It touches the outputs eight times: for statistics (1), for normalisation
  and ReLU (2), and for the sums (2) and values (3) of their gradient. Weights are
  assumed to stay in cache and sums of residuals to be fused; augmentation, loss and
  optimizer are not counted.

  Args:
    layers: layers, for one view or for a batch.
    device: peaks of the device.
    itemsize: bytes of one activation; 2 for bfloat16.
    trained: whether backward passes follow. Without them layers make one pass, and
      their normalisation touches the outputs three times.
  """
  total, passes, touched = 0.0, 3 if trained else 1, 8 if trained else 3
  for layer in layers:
    moved = passes * itemsize * (layer.inputs + layer.outputs)
    total += max(passes * 2 * layer.macs / device.flops, moved / device.bandwidth)
    total += layer.is_conv * touched * itemsize * layer.outputs / device.bandwidth
  return total
