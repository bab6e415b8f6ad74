"""Tests the quantizer: error, zeros, idempotence, gradients, and what is quantized."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import qwix

from ssl_jax import models
from ssl_jax.compression import kernels, quantization

EVERY = pytest.mark.parametrize('bits', range(2, 9))
PER = pytest.mark.parametrize('per', quantization.GRANULARITIES)


def kernel(seed=0, shape=(3, 3, 8, 16)):
  """Draws weights whose channels differ in size; two of them are special."""
  rng = np.random.default_rng(seed)
  w = rng.normal(size=shape) * np.exp(2 * rng.normal(size=shape[-1]))
  w[rng.random(shape) < 0.3] = 0
  w[..., 0] = 0        # a channel that was pruned altogether
  w[..., 1] *= 1e-35   # and one of vanishing weights
  return jnp.asarray(w, jnp.float32)


@EVERY
@PER
def test_nearest_multiple_of_the_scale(bits, per):
  w = np.asarray(kernel(), np.float64)
  q = quantization.quantize(kernel(), bits=bits, per=per)
  scale, integers = np.asarray(q.scale, np.float64), np.asarray(q.qvalue, np.int32)
  assert scale.shape == ((1, 1, 1, 16) if per == 'channel' else (1, 1, 1, 1))
  assert abs(integers).max() == 2**(bits - 1) - 1
  largest = abs(w).max((0, 1, 2) if per == 'channel' else None, keepdims=True)
  expected = np.where(largest > 1e-28, largest / (2**(bits - 1) - 1), 1)
  np.testing.assert_allclose(scale, expected, rtol=2**-16)
  # float32 may round a weight that is half-way between two multiples either way.
  assert (abs(integers * scale - w) <= scale * (0.5 + 2e-3)).all()
  assert not integers[w == 0].any()


@EVERY
def test_values_are_exact_products(bits):
  q = quantization.quantize(kernel(shape=(64, 64)), bits=bits, per='channel')
  exact = np.asarray(q.scale, np.float64) * np.asarray(q.qvalue, np.float64)
  values = np.asarray(quantization.dequantize(q))
  np.testing.assert_array_equal(values, exact)  # float32 and float64


@EVERY
@PER
def test_idempotent_bit_for_bit(bits, per):
  once = quantization.straight_through(kernel(), bits, per)
  twice = quantization.straight_through(once, bits, per)
  np.testing.assert_array_equal(np.asarray(twice).view(np.uint32),
                                np.asarray(once).view(np.uint32))


def test_the_scale_of_qwix_is_another_one():
  """Its own scale shrinks weights each time that they are quantized."""
  own = functools.partial(qwix.quantize, qtype='int6', channelwise_axes=[1])
  w = jnp.asarray(np.random.default_rng(0).normal(size=(64, 8)), jnp.float32)
  w = w.at[0].set(4.)  # the largest of each channel
  q = own(w)
  np.testing.assert_allclose(q.scale[0], 4 / 31.5, rtol=1e-6)
  once = qwix.dequantize(q)
  np.testing.assert_allclose(once[0], 4 * 31 / 31.5, rtol=1e-6)
  np.testing.assert_allclose(qwix.dequantize(own(once)), once * 31 / 31.5, rtol=1e-6)
  ours = quantization.straight_through(w, 6, 'channel')
  np.testing.assert_allclose(ours[0], 4, rtol=2**-16)


def test_gradients_pass_unchanged_under_jit():
  w = kernel(shape=(8, 4))
  factor = jnp.arange(32.).reshape(8, 4)
  loss = lambda w: (factor * quantization.straight_through(w, 4, 'channel')).sum()
  np.testing.assert_array_equal(jax.jit(jax.grad(loss))(w), factor)


@pytest.mark.parametrize('name, count', [('resnet50', 53), ('resnet20', 19)])
def test_every_convolution_is_quantized_and_nothing_else(name, count):
  """Counts on shapes alone which parameters depend on more than themselves."""
  network = models.MODELS[name](dtype=jnp.float32)
  params = jax.eval_shape(lambda: network.init(
      jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))['params']
  jaxpr = jax.make_jaxpr(
      lambda p: quantization.quantize_tree(p, bits=6, per='channel'))(params).jaxpr
  changed = [x.aval for x, y in zip(jaxpr.invars, jaxpr.outvars, strict=True)
             if x is not y]
  assert len(changed) == count and all(x.ndim == 4 for x in changed)


def test_weights_of_a_small_network():
  network = models.MODELS['resnet8'](dtype=jnp.float32, width=0.25)
  params = network.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)),
                        train=False)['params']
  quantized = quantization.quantize_tree(params, bits=4, per='tensor')
  found = kernels.find(quantized)
  assert all(len(np.unique(w)) <= 15 for w in found.values())
  same = kernels.replace(quantized, kernels.find(params))
  jax.tree.map(np.testing.assert_array_equal, same, params)
