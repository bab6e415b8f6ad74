"""GradCache: passes a batch through the network in chunks, under one loss over all.

The technique is from Gao et al. 2021, arXiv:2101.06983.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ssl_jax import errors
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import platforms

Tree = Any


def forward(network: nn.Module, params: Tree, model_state: Tree, views: jax.Array,
            images: int, chunks: int) -> tuple[dict[str, jax.Array], Tree]:
  """Runs `network` in training mode on views of one size.

  With several chunks the network processes some of the images at a time, and the
  backward pass computes each chunk again instead of keeping its activations. That needs
  the memory of one chunk and a third more work. The loss still compares all embeddings
  and its gradient is exact. Image i is in chunk i % chunks, so every device works on
  every chunk. BatchNorm, also in the heads, normalises by the chunk. Running statistics
  are updated once, with the mean over the chunks, so that their momentum stays that of
  one step. On the CPU, where gradients of convolutions are slow in a loop, chunks are
  unrolled, and XLA's schedule then saves no memory.

  Args:
    network: a Linen module, called as `network(views, train=True)`.
    params: parameters of the network.
    model_state: running batch statistics of the network.
    views: float [B*V, h, w, C]; row i*V + v is view v of image i.
    images: B, the number of images.
    chunks: number of chunks; with 1 all images pass at once.

  Returns:
    The endpoints {name: [B*V, ...]} and the new statistics.

  Raises:
    errors.UserError: `chunks` or the encoder's `bn_groups` does not divide the number
      of images.
  """
  groups = getattr(getattr(network, 'encoder', None), 'bn_groups', 1)
  _check(images, chunks, groups)
  run = functools.partial(_run, network, model_state)
  if chunks == 1:
    return run(params, views)
  run = functools.partial(jax.checkpoint(run), params)
  views_per_image = len(views) // images
  # Image i is in chunk i % chunks. A block of consecutive images would be on few of
  # the devices, so that the chunk would have to be moved to the others.
  parts = views.reshape(-1, chunks, views_per_image, *views.shape[1:]).swapaxes(0, 1)
  parts = parts.reshape(chunks, -1, *views.shape[1:])
  if platforms.on_cpu():
    endpoints, model_state = jax.tree.map(lambda *x: jnp.stack(x), *map(run, parts))
  else:
    endpoints, model_state = jax.lax.map(run, parts)
  return (jax.tree.map(functools.partial(_in_order, views_per_image), endpoints),
          jax.tree.map(lambda x: x.mean(0), model_state))


def _run(network: nn.Module, model_state: Tree, params: Tree,
         views: jax.Array) -> tuple[dict[str, jax.Array], Tree]:
  endpoints, updated = network.apply(
      {'params': params, 'batch_stats': model_state}, views, train=True,
      mutable=['batch_stats'])
  return endpoints, updated.get('batch_stats', {})


def _in_order(views_per_image: int, x: jax.Array) -> jax.Array:
  """Puts rows [chunks, rows, ...] back in the order of the views, [B*V, ...]."""
  chunks, rest = len(x), x.shape[2:]
  x = x.reshape(chunks, -1, views_per_image, *rest).swapaxes(0, 1)
  return x.reshape(-1, *rest)


def _check(images: int, chunks: int, groups: int) -> None:
  devices = mesh_lib.num_devices()
  if chunks < 1 or chunks > 1 and images % (chunks * devices):
    raise errors.UserError(
        f'config.train.grad_cache_chunks is {chunks}; it must be positive, and the '
        f'batch of {images} images a multiple of it'
        + f' on each of {devices} devices' * (devices > 1))
  if groups < 1 or images // chunks % groups:
    raise errors.UserError(
        f'config.model.bn_groups is {groups}; it must be positive and divide the '
        f'{images // chunks} images that pass through the network at once')
