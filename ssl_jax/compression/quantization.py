"""Quantizes kernels to integers of k bits and a scale: w = scale * integer.

Integers and their storage are those of `qwix.quantize`. Its scale, however, is
max|w| / (qmax + 0.5), where qmax = 2^(k-1) - 1. It represents the largest weight by
qmax, half a scale too small. To quantize the result again shrinks all weights by
qmax / (qmax + 0.5), and a large negative weight may become -qmax - 1 or -qmax, which
depends on rounding. (tests/test_compression_quantization.py shows it for qwix 0.1.8.)
The scale here is max|w| / qmax. The largest weight then stays, integers are symmetric,
from -qmax to qmax, and the error is at most half a scale.

The scale is rounded to 16 significant bits. Its product with an integer of 8 bits then
has at most 24 bits and is exact in float32. Therefore every device computes the same
weights, and to quantize quantized weights changes no bit of them.

The parameters are quantized, not the operations of the model: `qwix.quantize_model`
intercepts 17 of the 53 convolutions of a ResNet-50 on CPUs, without a warning.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import qwix

from ssl_jax.compression import kernels as kernels_lib

Tree = Any
BITS = (2, 8)  # the least and the largest number of bits of a weight
# A scale belongs to one output channel, or to the whole kernel.
GRANULARITIES = ('channel', 'tensor')
_DROPPED = 8   # bits of the 24 that a float32 number has; 16 remain
_TINY = 2.**-100  # A kernel of smaller weights becomes zero.


def largest(bits: int) -> int:
  """Returns qmax, the largest integer; the least one is -qmax."""
  return 2**(bits - 1) - 1


@functools.partial(jax.jit, static_argnames=('bits', 'per'))
def quantize(weights: jax.Array, *, bits: int, per: str) -> qwix.QArray:
  """Returns the nearest integers and the scales of one kernel.

  Args:
    weights: a kernel, float32 [..., channels].
    bits: number of bits of an integer, from 2 to 8. With 2 bits a weight is -scale, 0
      or scale.
    per: 'channel' for one scale for each output channel, which is the last axis, or
      'tensor' for a single scale.

  Returns:
    `qvalue`, integers of the shape of the kernel, and `scale`, float32 [1, ..., 1,
    channels] or [1, ..., 1]. A channel of zeros has the scale 1.
  """
  axes = tuple(range(weights.ndim - (per == 'channel')))
  scale = jnp.abs(weights).max(axes, keepdims=True) / largest(bits)
  scale = jnp.where(scale > _TINY, _shortened(scale), 1)
  # In units of the scale, the range (-qmax - 0.5, qmax + 0.5) has the scale 1 in qwix.
  bound = largest(bits) + 0.5
  units = qwix.quantize(weights / scale, f'int{bits}',
                        calibration_method=f'fixed,{-bound},{bound}')
  return dataclasses.replace(units, scale=scale)


def dequantize(quantized: qwix.QArray) -> jax.Array:
  """Returns scale * integer, float32, which is exact."""
  return qwix.dequantize(quantized)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def straight_through(weights: jax.Array, bits: int, per: str) -> jax.Array:
  """Returns the quantized weights; their gradient passes to the weights unchanged.

  (Bengio et al. 2013, arXiv:1308.3432.) Zeros stay zeros.

  Args:
    weights: a kernel, float32 [..., channels].
    bits: number of bits of a weight, from 2 to 8.
    per: an entry of `GRANULARITIES`.
  """
  return dequantize(quantize(weights, bits=bits, per=per))


@straight_through.defjvp
def _straight_through_jvp(bits, per, primals, tangents):
  return straight_through(*primals, bits, per), tangents[0]


def quantize_tree(params: Tree, *, bits: int, per: str) -> Tree:
  """Returns parameters with quantized kernels; other parameters are unchanged.

  All convolutions and dense layers are quantized, the stem and the classifier too.
  Gradients are those of `straight_through`.

  Args:
    params: the parameters of a network.
    bits: number of bits of a weight, from 2 to 8.
    per: an entry of `GRANULARITIES`.
  """
  return kernels_lib.replace(params, {
      path: straight_through(w, bits, per)
      for path, w in kernels_lib.find(params).items()})


def _shortened(x: jax.Array) -> jax.Array:
  """Rounds float32 numbers above 0 to 16 significant bits."""
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  half, low = 1 << (_DROPPED - 1), (1 << _DROPPED) - 1
  return jax.lax.bitcast_convert_type(
      (bits + jnp.uint32(half)) & ~jnp.uint32(low), jnp.float32)
