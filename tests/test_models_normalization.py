"""The gradient written out by hand, against automatic differentiation in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssl_jax.models import layers, normalization
from ssl_jax.parallel import mesh as mesh_lib

SHAPES = {  # of the activations, and the axes that are normalised
    'images': ((6, 5, 3, 4), (0, 1, 2)),
    'vectors': ((7, 4), (0,)),
    'groups of images': ((2, 3, 4, 4, 5), (1, 2, 3)),
    'groups of vectors': ((3, 4, 5), (1,)),
    'small images': ((64, 2, 2, 3), (0, 1, 2)),  # partial sums hold several of them
}


def by_definition(x, scale, bias, axes):
  mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
  y = (x - mean) / jnp.sqrt(var + 1e-5)
  wide = lambda v: v.reshape((1,) * (x.ndim - 1) + (-1,))
  y = y if scale is None else y * wide(scale)
  return (y if bias is None else y + wide(bias)), mean, var


@pytest.mark.parametrize('name', SHAPES)
@pytest.mark.parametrize('scaled, shifted', [
    (True, True), (False, True), (True, False)])
def test_gradient_of_autodiff(name, scaled, shifted):
  shape, axes = SHAPES[name]
  rng = np.random.default_rng(0)
  with jax.enable_x64(True):
    x, weights = (jnp.asarray(rng.normal(1, 2, shape)) for _ in range(2))
    scale = jnp.asarray(rng.normal(size=shape[-1])) if scaled else None
    bias = jnp.asarray(rng.normal(size=shape[-1])) if shifted else None

    def run(function):
      def loss(x, scale, bias):
        y, mean, var = function(x, scale, bias)
        return (jnp.sin(y) * weights).sum(), (y, mean, var)
      return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(x, scale, bias)

    got = run(lambda *a: normalization.normalize_by_moments(*a, axes, jnp.float64))
    expected = run(lambda *a: by_definition(*a, axes))
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('dtype, tolerance', [(jnp.float32, 1e-5), (jnp.bfloat16, .02)])
@pytest.mark.parametrize('devices', [2, 8])
def test_devices_do_not_matter(devices, dtype, tolerance):
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(32, 4, 4, 3)), dtype)
  weights = jnp.asarray(rng.normal(size=x.shape), dtype)
  scale, bias = (jnp.asarray(rng.normal(size=3), jnp.float32) for _ in range(2))

  def gradients(x, weights, scale, bias):
    def loss(x, scale, bias):
      y, *moments = normalization.normalize_by_moments(x, scale, bias, (0, 1, 2), dtype)
      return (y * weights).astype(jnp.float32).sum(), moments
    return jax.grad(loss, (0, 1, 2), has_aux=True)(x, scale, bias)

  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  rep, rows = mesh_lib.replicated(mesh), mesh_lib.sharded(mesh)

  def on_devices(*args):
    with mesh_lib.use_mesh(mesh):
      return gradients(*args)

  got = jax.jit(on_devices, in_shardings=(rows, rows, rep, rep))(
      x, weights, scale, bias)
  expected = jax.jit(gradients)(x, weights, scale, bias)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(a.astype(jnp.float32), b.astype(jnp.float32),
                               rtol=tolerance, atol=tolerance)


def test_residual_relu_is_relu():
  x = jnp.array([-2., -0., 0., 1e-30, 3.])
  for f in (layers.residual_relu, jax.nn.relu):
    y, back = jax.vjp(f, x)
    np.testing.assert_array_equal(y, [0, 0, 0, x[3], 3])
    np.testing.assert_array_equal(back(jnp.full(5, 7.))[0], [0, 0, 0, 7, 7])
