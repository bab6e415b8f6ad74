"""Tests the mixture of two convolutions by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax.models import layers, selective_kernel


def test_the_mixture_by_hand():
  module = selective_kernel.SelectiveKernel(4, 2, 0.5, jnp.float32, 1)
  x = jax.random.normal(jax.random.key(0), (3, 6, 6, 5))
  variables = jax.jit(lambda x: module.init(jax.random.key(1), x, train=False))(x)
  rng = np.random.default_rng(0)
  params = jax.tree.map(lambda w: np.asarray(rng.normal(size=w.shape), np.float32),
                        variables['params'])
  got = module.apply({**variables, 'params': params}, x, train=False)
  assert params['reduce']['kernel'].shape == (4, 32)  # at least 32
  shift = lambda y, bn: np.maximum(
      0, np.asarray(y) / np.sqrt(1 + 1e-5) * bn['scale'] + bn['bias'])
  both = layers.conv(8, 3, 2, dtype=jnp.float32, name='conv').apply(
      {'params': params['conv']}, x)
  both = shift(both, params['bn']).reshape(3, 3, 3, 2, 4)
  hidden = both.sum(3).mean((1, 2)) @ params['reduce']['kernel']
  mix = (shift(hidden, params['bn_reduce']) @ params['mix']['kernel']).reshape(3, 2, 4)
  mix = np.exp(mix) / np.exp(mix).sum(1, keepdims=True)
  expected = (both * mix[:, None, None]).sum(3)
  np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
