import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax import models
from ssl_jax.models import conv
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import platforms

NHWC = ('NHWC', 'HWIO', 'NHWC')


def plain(x, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), **options):
  return jax.lax.conv_general_dilated(x, kernel, strides, padding,
                                      dimension_numbers=NHWC, **options)


def ours(x, kernel, strides=(1, 1), padding=((0, 0), (0, 0)), **options):
  return conv.conv_general_dilated(x, kernel, strides, padding,
                                   dimension_numbers=NHWC, **options)


def operands(image_shape, kernel_shape, dtype=np.float32):
  rng = np.random.default_rng(0)
  return (jnp.asarray(rng.normal(size=image_shape), dtype),
          jnp.asarray(rng.normal(size=kernel_shape), dtype))


def assert_close(a, b, rtol=1e-5):
  """Asserts that arrays are close relative to the largest element."""
  a, b = (np.asarray(x, np.float64) for x in (a, b))
  assert a.shape == b.shape
  np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


def value_and_gradients(f, x, kernel, **options):
  def run(x, kernel):
    y, pullback = jax.vjp(lambda x, kernel: f(x, kernel, **options), x, kernel)
    return y, *pullback(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))
  return jax.jit(run)(x, kernel)


@pytest.mark.parametrize('size', [(8, 8), (7, 10)])
@pytest.mark.parametrize('padding', ['none', 'even', 'uneven'])
@pytest.mark.parametrize('strides', [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize('kernel_size', [1, 3, 5])
def test_value_and_gradients_are_the_plain_ones(kernel_size, strides, padding, size):
  half = kernel_size // 2
  padding = {'none': ((0, 0), (0, 0)), 'even': ((half, half), (half, half)),
             'uneven': ((0, 1), (1, 2))}[padding]
  x, kernel = operands((3, *size, 4), (kernel_size, kernel_size, 4, 6))
  options = {'strides': strides, 'padding': padding}
  for a, b in zip(value_and_gradients(ours, x, kernel, **options),
                  value_and_gradients(plain, x, kernel, **options), strict=True):
    assert_close(a, b)


@pytest.mark.parametrize('kernel_size, channels', [(1, 1), (1, 5), (3, 1), (3, 3)])
def test_one_image(kernel_size, channels):
  x, kernel = operands((1, 6, 6, channels), (kernel_size, kernel_size, channels, 2))
  for a, b in zip(value_and_gradients(ours, x, kernel),
                  value_and_gradients(plain, x, kernel), strict=True):
    assert_close(a, b)


@pytest.mark.parametrize('options', [
    {'lhs_dilation': (2, 2)}, {'rhs_dilation': (2, 2)}, {'feature_group_count': 2}])
def test_dilated_and_grouped_1x1_kernels_are_the_plain_ones(options):
  x, kernel = operands((2, 5, 5, 4), (1, 1, 4 // options.get('feature_group_count', 1),
                                      6))
  assert_close(ours(x, kernel, **options), plain(x, kernel, **options))


@pytest.mark.parametrize('kernel_size', [1, 3])
def test_maps_over_images_and_kernels(kernel_size):
  x, kernels = operands((2, 3, 6, 6, 4), (2, kernel_size, kernel_size, 4, 5))
  together = jax.vmap(lambda x, kernel: value_and_gradients(ours, x, kernel))
  for i in range(2):
    for a, b in zip(together(x, kernels),
                    value_and_gradients(plain, x[i], kernels[i]), strict=True):
      assert_close(a[i], b)


@pytest.mark.parametrize('kernel_size', [1, 3])
def test_bfloat16_stays(kernel_size):
  x, kernel = operands((2, 6, 6, 4), (kernel_size, kernel_size, 4, 5), jnp.bfloat16)
  for a, b in zip(value_and_gradients(ours, x, kernel),
                  value_and_gradients(plain, x, kernel), strict=True):
    assert a.dtype == b.dtype == jnp.bfloat16
    assert_close(a, b, rtol=0.02)


def test_what_is_computed_once_is_the_identity():
  x = jnp.array([0.0, -0.0, 1.5, jnp.inf, -jnp.inf, jnp.nan, 1e-45])
  np.testing.assert_array_equal(conv.computed_once(x), x)
  assert np.signbit(conv.computed_once(x)[1])
  np.testing.assert_array_equal(
      jax.grad(lambda x: (2 * conv.computed_once(x)).sum())(x), 2)


def step(x, kernels):
  """Returns the gradients of two residual layers; XLA:CPU would compute one twice."""
  def loss(kernels):
    h = x
    for kernel in kernels:
      h = h + jax.nn.relu(conv.conv_general_dilated(
          jax.nn.relu(h), kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=NHWC))
    return (h**2).sum()
  return jax.grad(loss)(kernels)


def test_other_platforms_lower_to_the_plain_convolution():
  """The form depends on the target platform, not on the host or on earlier traces."""
  def lowered(f, platform, kernel_size):
    x, kernel = operands((2, 8, 8, 4), (kernel_size, kernel_size, 4, 4))
    # One function object for all platforms: jit must keep its traces apart.
    return f.trace(x, kernel).lower(lowering_platforms=(platform,)).as_text()

  def gradient(f):
    def loss(x, kernel):
      return jnp.tanh(f(jnp.tanh(f(x, kernel)), kernel)).sum()
    return jax.jit(jax.grad(loss, (0, 1)))

  mine, reference = gradient(ours), gradient(plain)
  for kernel_size in (1, 3):
    assert (lowered(mine, 'cpu', kernel_size)
            != lowered(reference, 'cpu', kernel_size))
    for platform in ('tpu', 'cuda'):
      with platforms.compile_for(platform):
        assert (lowered(mine, platform, kernel_size)
                == lowered(reference, platform, kernel_size))


def test_images_are_transposed_only_once_they_are_finished():
  x, kernel = operands((8, 16, 16, 8), (3, 3, 8, 8))
  text = jax.jit(step).lower(x, [kernel] * 3).compile().as_text()
  computations = re.split(r'\n\n', text)
  transposing = [c for c in computations if ' transpose(' in c and 'ENTRY' not in c]
  assert transposing
  assert not [c for c in transposing if ' maximum(' in c]


@pytest.mark.parametrize('kernel_size', [1, 3])
def test_shards_of_a_batch_meet_only_in_the_gradient_of_the_kernel(kernel_size):
  mesh = mesh_lib.data_mesh()
  x, kernel = operands((16, 8, 8, 4), (kernel_size, kernel_size, 4, 6))
  def run(x, kernel):
    return jax.vjp(ours, x, kernel)[1](jnp.sin(plain(x, kernel)))
  data, rep = mesh_lib.sharded(mesh), mesh_lib.replicated(mesh)
  sharded = jax.jit(run, in_shardings=(data, rep), out_shardings=(data, rep))
  for a, b in zip(sharded(x, kernel), run(x, kernel), strict=True):
    assert_close(a, b)
  text = sharded.lower(x, kernel).compile().as_text()
  kinds = 'all-gather|all-to-all|collective-permute|all-reduce'
  collectives = re.findall(rf'= \(?\w+\[([\d,]*)\]\S* ({kinds})', text)
  assert [kind for _, kind in collectives] == ['all-reduce']
  assert np.prod([int(n) for n in collectives[0][0].split(',')]) == kernel.size


def test_gradients_of_resnet20_are_those_of_plain_convolutions():
  module = models.build('resnet20', shortcut='torch', width=0.25)
  rng = np.random.default_rng(0)
  images, target = rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 16))
  shapes = jax.eval_shape(lambda: module.init(
      jax.random.key(0), jnp.zeros((1, 8, 8, 3)), train=False))
  params = jax.tree.map(  # random, because residuals are initialised as 0
      lambda p: jnp.asarray(0.5 * rng.normal(size=p.shape), p.dtype), shapes['params'])
  stats = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), shapes['batch_stats'])

  @jax.jit
  def gradients(params):
    def loss(params):
      out, _ = module.apply({'params': params, 'batch_stats': stats},
                            jnp.float32(images), train=True, mutable=['batch_stats'])
      return (out['pooled'] * target).sum()
    return jax.grad(loss)(params)

  mine = gradients(params)
  with platforms.compile_for('tpu'):
    reference = gradients(params)
  for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(reference), strict=True):
    assert np.abs(b).max() > 1e-3  # the values are larger than rounding errors
    assert_close(a, b, rtol=1e-4)
