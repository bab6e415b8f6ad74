"""Measures the accuracy lost by summing gradients over devices in bfloat16.

    python -m benchmarks.gradient_rounding

The command computes gradients of all kernels of ResNet-20 under SimCLR, in bfloat16,
one for each of 256 parts of a batch of synthetic images. It sums them in float32, and
with a rounding to bfloat16 after every addition: in rings of 16 along both axes of a
torus, and in one ring of 256. It prints the distance of each sum to the exact sum,
relative to the norm of the latter. This models hardware that rounds what it sends; no
accelerator is used.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ssl_jax import models
from ssl_jax.data import datasets
from ssl_jax.methods.base import Tree
from ssl_jax.methods.network import Network
from ssl_jax.objectives import contrastive

DEVICES, RING, ROWS = 256, 16, 4


def gradients() -> np.ndarray:
  """Returns the gradient of each part, float32 [DEVICES, n] of bfloat16's precision.

  The network runs without BatchNorm statistics of the batch, so that images depend on
  each other only in the loss.
  """
  source = datasets.load(name='synthetic', split='train', validation_fraction=0,
                        num_examples=DEVICES * ROWS // 2)
  images = np.repeat(source.read(np.arange(len(source))).images, 2, axis=0)
  noise = np.random.default_rng(0).normal(size=images.shape)
  views = jnp.asarray(images / 127.5 - 1 + 0.3 * noise, jnp.bfloat16)
  network = Network(
      models.build('resnet20', dtype=jnp.bfloat16),
      models.build_projector(layers=2, dim=64, dtype=jnp.bfloat16))
  variables = network.init(jax.random.key(0), views[:2], train=False)
  # Residual branches are initialised to output 0, so that they would have no gradients.
  params = jax.tree_util.tree_map_with_path(
      lambda path, p: jnp.full_like(p, 0.5) if path[-1].key == 'scale' else p,
      variables['params'])

  def embed(params, x):
    return network.apply({**variables, 'params': params}, x, train=False)['projection']

  cotangents = jax.jit(jax.grad(lambda z: contrastive.nt_xent(z, 0.5)))(
      jax.jit(embed)(params, views))
  part = jax.jit(lambda x, dz: jax.vjp(lambda p: embed(p, x), params)[1](dz)[0])
  return np.stack([_kernels(part(x, dz)) for x, dz in zip(
      jnp.split(views, DEVICES), jnp.split(cotangents, DEVICES), strict=True)])


def _kernels(tree: Tree) -> np.ndarray:
  found = [x.ravel() for path, x in jax.tree_util.tree_leaves_with_path(tree)
           if path[-1].key == 'kernel']
  return _rounded(np.concatenate(found))


def _rounded(x: np.ndarray) -> np.ndarray:
  return x.astype(jnp.bfloat16).astype(np.float32)


def ring(parts: np.ndarray) -> np.ndarray:
  """Adds up rows [parts, n] one after the other, and rounds after each addition."""
  return functools.reduce(lambda total, x: _rounded(total + x), parts)


def main() -> None:
  parts = gradients()
  exact = parts.astype(np.float64).sum(0)
  sums = {
      'float32': functools.reduce(np.add, parts),
      'bfloat16, rounded once': _rounded(exact),
      f'bfloat16, {RING} x {RING}': ring(
          np.stack([ring(row) for row in parts.reshape(-1, RING, parts.shape[1])])),
      f'bfloat16, ring of {DEVICES}': ring(parts)}
  for name, total in sums.items():
    print(f'{name:24s} {np.linalg.norm(total - exact) / np.linalg.norm(exact):.2g}')


if __name__ == '__main__':
  main()
