"""FLOPs and bytes of a network, from its own trace, and how fast it could be."""

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
  """One convolution or matrix product of a forward pass.

  Attributes:
    macs: multiply-accumulates; a FLOP count is twice that.
    inputs: elements of its input activations.
    outputs: elements of its output.
    is_conv: whether it is a convolution.
  """
  macs: int
  inputs: int
  outputs: int
  is_conv: bool


def trace(function: Callable[..., Any], *args: Any) -> list[Layer]:
  """The layers of `function(*args)`, arrays or shapes, in the order of execution.

  Loops of known length count every turn; branches of a condition count all.
  """
  with platforms.compile_for('tpu'):  # on CPUs 1x1 convolutions are written as products
    jaxpr = jax.make_jaxpr(function)(*args)
  return list(_layers(jaxpr.jaxpr))


def network(module: Any, image_shape: Sequence[int]) -> list[Layer]:
  """The layers of a Linen module for one image of shape [H, W, C]."""
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
  """The functions that an operation calls, and how often."""
  times = eqn.params.get('length', 1) if eqn.primitive.name == 'scan' else 1
  if eqn.primitive.name == 'shard_map':  # inner shapes are those of one device
    times = eqn.params['mesh'].size
  for value in eqn.params.values():
    for candidate in value if isinstance(value, tuple | list) else (value,):
      candidate = getattr(candidate, 'jaxpr', candidate)
      if isinstance(candidate, core.Jaxpr):
        yield candidate, times


def forward_flops(layers: Sequence[Layer]) -> int:
  """FLOPs of one forward pass."""
  return 2 * sum(layer.macs for layer in layers)


def train_flops(layers: Sequence[Layer]) -> int:
  """Three forward passes: gradients by inputs and by weights cost one each."""
  return 3 * forward_flops(layers)


def activations(layers: Sequence[Layer]) -> int:
  """Elements that convolutions write in a forward pass."""
  return sum(layer.outputs for layer in layers if layer.is_conv)


def seconds(layers: Sequence[Layer], device: hardware.Device, itemsize: int,
            trained: bool = True) -> float:
  """The shortest training step of this network on one device.

  Layers follow one another. Each is bound by its products or by its memory: a
  pass forward and two back, each of which touches inputs and outputs once. Its
  normalisation is bound by memory alone and touches the outputs eight times:
  statistics (1), normalise and ReLU (2), their gradient's sums (2) and values
  (3). Weights stay in cache, sums of residuals are fused, and augmentation, loss
  and optimizer are left out.

  Args:
    layers: for one view, or for a batch.
    device: on which.
    itemsize: bytes of one activation; 2 for bfloat16.
    trained: whether backward passes follow; without them layers make one pass, and
      their normalisation touches the outputs three times.
  """
  total, passes, touched = 0.0, 3 if trained else 1, 8 if trained else 3
  for layer in layers:
    moved = passes * itemsize * (layer.inputs + layer.outputs)
    total += max(passes * 2 * layer.macs / device.flops, moved / device.bandwidth)
    total += layer.is_conv * touched * itemsize * layer.outputs / device.bandwidth
  return total
