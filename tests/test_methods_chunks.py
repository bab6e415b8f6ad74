"""A batch in parts: the loss over all of it, its exact gradient, less memory."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from ssl_jax import errors, methods
from ssl_jax.methods import base, rotnet, simclr
from ssl_jax.methods.network import Network
from ssl_jax.models import heads, layers
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import platforms

IMAGES = 32


class Encoder(nn.Module):
  """A convolution, or a few, with BatchNorm or without."""
  bn_groups: int = 1
  norm: bool = True
  width: int = 4
  depth: int = 1

  @nn.compact
  def __call__(self, x, *, train):
    for i in range(self.depth):
      x = layers.conv(self.width, 3, dtype=jnp.float32, name=f'conv{i}')(x)
      if self.norm:
        x = layers.batch_norm(train=train, dtype=jnp.float32, name=f'bn{i}',
                              groups=self.bn_groups)(x)
      x = nn.relu(x)
    return {'stage1': x, 'pooled': x.mean((1, 2))}


def method(chunks=1, **encoder):
  network = Network(Encoder(**encoder),
                    heads.ProjectionHead(layers=1, dim=3, batch_norm=False))
  return simclr.SimCLR(network, (None,) * 2, None, jnp.float32, chunks)


def views(images=IMAGES, size=4):
  rng = np.random.default_rng(0)
  mean = rng.normal(size=(images, 1, 1, 1, 3)).repeat(2, axis=1)
  return rng.normal(mean, size=(images, 2, size, size, 3)).astype(
      np.float32).reshape(-1, size, size, 3)


@functools.cache
def variables(**encoder):
  tree = jax.jit(functools.partial(method(**encoder).network.init, train=True))(
      jax.random.key(0), views(1))
  return base.Variables(tree['params'], tree.get('batch_stats', {}))


def start_of(method):
  encoder = method.network.encoder
  return variables(norm=encoder.norm, width=encoder.width,
                   depth=encoder.depth)


def compiled(method, views, devices=1):
  """value_and_grad of a loss, as train/step.py compiles it."""
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  rep, rows = mesh_lib.replicated(mesh), mesh_lib.sharded(mesh)
  start = start_of(method)

  def value_and_grad(params, views):
    with mesh_lib.use_mesh(mesh):
      (loss, aux), gradient = jax.value_and_grad(method.loss, has_aux=True)(
          params, start, views, jnp.zeros(len(views) // 2, jnp.int32))
      return (loss, gradient, aux.model_state), aux.endpoints['pooled']
  return jax.jit(value_and_grad, in_shardings=(rep, rows), out_shardings=(rep, rows)
                 ).lower(start.params, views).compile()


def run(method, views, devices=1):
  params = start_of(method).params
  return jax.tree.map(np.asarray, compiled(method, views, devices)(params, views))


def same(a, b):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6),
               a, b)


@pytest.mark.parametrize('platform, devices', [('cpu', 1), ('cpu', 8), ('gpu', 8)])
def test_without_batch_norm_nothing_changes_and_no_image_moves(platform, devices):
  """Unrolled, as on the CPU, and in a loop, as elsewhere."""
  start, x = variables(norm=False), views()
  with platforms.compile_for(platform):
    program = compiled(method(2, norm=False), x, devices)
  (loss, gradient, _), pooled = jax.device_get(program(start.params, x))
  (expected, expected_gradient, _), expected_pooled = in_one_pass()
  same((loss, gradient, pooled), (expected, expected_gradient, expected_pooled))
  assert all(np.abs(g).max() > 1e-4 for g in jax.tree.leaves(gradient))
  text = program.as_text()
  assert not re.search('all-to-all|collective-permute', text)
  gathered = re.findall(r'= f32\[([\d,]+)\]\S* all-gather', text)
  assert all(np.prod([int(n) for n in s.split(',')]) <= 2 * IMAGES * 3
             for s in gathered)
  assert bool(gathered) == (devices > 1)


@functools.cache
def in_one_pass():
  return run(method(norm=False), views())


@pytest.mark.parametrize('platform', ['cpu', 'gpu'])
def test_batch_norm_sees_a_part_as_if_it_were_a_group(platform):
  chunks, x = 2, views()
  order = np.arange(len(x)).reshape(-1, chunks, 2).swapaxes(0, 1).reshape(-1)
  with platforms.compile_for(platform):
    (loss, gradient, stats), pooled = run(method(chunks), x)
  # Images in another order are the same loss.
  expected, expected_pooled = in_groups(chunks, tuple(order))
  same((loss, gradient, stats), expected)
  np.testing.assert_allclose(pooled[order], expected_pooled, rtol=1e-4, atol=1e-6)


@functools.cache
def in_groups(groups, order):
  return run(method(bn_groups=groups), views()[list(order)])


def test_memory_of_the_loop_falls_with_the_number_of_parts():
  def temp(chunks):
    with platforms.compile_for('gpu'):
      program = compiled(method(chunks, width=16, depth=3), views(size=16))
    return program.memory_analysis().temp_size_in_bytes
  one, four, sixteen = map(temp, (1, 4, 16))
  assert four < 0.6 * one and sixteen < 0.6 * four


def test_the_config_field_reaches_the_method():
  assert methods.build(tiny.config(grad_cache_chunks=4), 4).grad_cache_chunks == 4


def test_views_of_an_image():
  network = Network(Encoder())
  of = lambda rotations: rotnet.RotNet(network, (), None, None, rotations=rotations)
  assert method().views_per_image == 2
  assert [of(r).views_per_image for r in ('all', '0_180', 'random')] == [4, 2, 1]


@pytest.mark.parametrize('chunks, groups, devices, words', [
    (0, 1, 1, 'grad_cache_chunks is 0; .*32 images'),
    (3, 1, 1, 'grad_cache_chunks is 3; .*32 images'),
    (8, 1, 8, 'grad_cache_chunks is 8; .*32 images.* 8 devices'),
    (1, 64, 1, 'bn_groups is 64; .*32 images'),  # would part the views of an image
    (4, 16, 1, 'bn_groups is 16; .* 8 images'),
])
def test_what_does_not_divide_is_explained(chunks, groups, devices, words):
  with pytest.raises(errors.UserError, match=words):
    compiled(method(chunks, bn_groups=groups), views(), devices)
