"""Counts what each measure saves that keeps the program for a GPU small.

    python -m benchmarks.gpu_program
    python -m benchmarks.gpu_program --without norms layout

The training step of ResNet-18, SimCLR, is compiled for one H100, as it is and then
without one measure at a time. It needs the GPU compiler (pip install -e '.[cuda]') and
no GPU; each line takes about a minute. docs/benchmarks.md explains what is counted.
"""

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from benchmarks.harness import cases
from ssl_jax.augment import color
from ssl_jax.models import layers, normalization
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import ahead_of_time
from ssl_jax.train import norms


def normalize_by_autodiff(x: jax.Array, scale: jax.Array, bias: jax.Array, axes: Any,
                          dtype: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Computes `normalization.normalize_by_moments` without a gradient of its own.

  Args:
    x: bfloat16 activations.
    scale: float32 [C].
    bias: float32 [C].
    axes: the axes that are normalised.
    dtype: dtype of the result.
  """
  wide = x.astype(jnp.float32)
  mean = wide.mean(axes, keepdims=True)
  var = jnp.maximum(jnp.square(wide).mean(axes, keepdims=True) - jnp.square(mean), 0)
  return normalization.normalize(x, mean, var, scale, bias).astype(dtype), mean, var


class NotAGpu:
  """Stands for `parallel.platforms` where the form for other devices is wanted."""

  @staticmethod
  def on_gpu() -> bool:
    """Returns False."""
    return False


# For each measure, what takes its place: (module, name, value).
MEASURES: dict[str, tuple[tuple[Any, str, Any], ...]] = {
    'norms': ((norms, 'global_norm', optax.global_norm),
              (norms, 'scale_by_trust_ratio', lambda coefficient:
               optax.scale_by_trust_ratio(trust_coefficient=coefficient))),
    'layout': ((mesh_lib, 'stored', lambda tree, mesh: jax.tree.map(
        lambda _: mesh_lib.replicated(mesh), tree)),),
    'batch_norm': ((normalization, 'normalize_by_moments', normalize_by_autodiff),),
    'residual_relu': ((layers, 'residual_relu', nn.relu),),
    'colours': ((color, 'platforms', NotAGpu),),
}


@contextlib.contextmanager
def without(measure: str) -> Iterator[None]:
  """Takes a measure out of the library, within a context."""
  before = [(module, name, getattr(module, name))
            for module, name, _ in MEASURES[measure]]
  try:
    for module, name, value in MEASURES[measure]:
      setattr(module, name, value)
    yield
  finally:
    for module, name, value in before:
      setattr(module, name, value)


def line(label: str, images: int) -> str:
  """Compiles the step and returns the line of a table."""
  config = cases.config('resnet18', images, train={'precision': 'bfloat16'})
  found = ahead_of_time.run(config, 'h100')['kernels']
  return (f'{label:<24}{found["kernels"]:>8}{found["bytes"] / 2**30:>8.2f}'
          f'{1e3 * found["seconds"]:>14.2f}')


def main() -> None:
  """Prints a line for the program as it is, and one for each measure."""
  jax.config.update('jax_platforms', 'cpu')  # so that JAX does not look for a driver
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--images', type=int, default=512, help='images of a batch')
  parser.add_argument('--without', nargs='*', choices=MEASURES, default=list(MEASURES),
                      help='measures to take out, one at a time')
  options = parser.parse_args()
  print(f'{"":<24}{"kernels":>8}{"GiB":>8}{"predicted ms":>14}')
  print(line('as it is', options.images))
  for measure in options.without:
    with without(measure):
      print(line(f'without {measure}', options.images))


if __name__ == '__main__':
  main()
