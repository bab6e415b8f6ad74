r"""Measures memory of SimCLR's loss and gradient by config.train.grad_cache_chunks.

  python -m benchmarks.grad_cache_memory

Memory is that of temporary buffers, as XLA counts them. The program is that of GPUs and
TPUs (a loop over the chunks). It is compiled for one CPU device and not executed.
"""

import argparse

import jax
import jax.numpy as jnp

from ssl_jax import methods
from ssl_jax.parallel import platforms


def mebibytes(model: str, images: int, size: int, chunks: int) -> float:
  """Returns the MiB of temporary buffers of a batch.

  Args:
    model: name of the encoder.
    images: number of images, each of two views.
    size: side of a view in pixels.
    chunks: number of chunks in which the batch passes through the encoder.
  """
  method = methods.build({
      'method': {'name': 'simclr'}, 'augment': {'recipe': 'simclr_v2'},
      'model': {'name': model}, 'train': {'grad_cache_chunks': chunks}}, num_classes=0)
  variables = jax.eval_shape(lambda: method.init(jax.random.key(0), (size, size, 3)))
  views = jax.ShapeDtypeStruct((2 * images, size, size, 3), method.dtype)
  labels = jax.ShapeDtypeStruct((images,), jnp.int32)

  def gradient(params, variables, views, labels):
    (loss, output), gradient = jax.value_and_grad(method.loss, has_aux=True)(
        params, variables, views, labels)
    return loss, gradient, output.model_state, output.metrics
  with platforms.compile_for('gpu'):
    compiled = jax.jit(gradient).lower(
        variables.params, variables, views, labels).compile()
  return compiled.memory_analysis().temp_size_in_bytes / 2**20


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', default='resnet20', help='name of the encoder')
  parser.add_argument('--images', type=int, default=1024, help='of the batch')
  parser.add_argument('--size', type=int, default=32,
                      help='side of a view in pixels')
  parser.add_argument('--chunks', type=int, nargs='+', default=[1, 4, 16],
                      help='values of grad_cache_chunks to compare')
  args = parser.parse_args()
  jax.config.update('jax_platforms', 'cpu')
  print(f'{args.model}, {args.images} images of {args.size} px, jax {jax.__version__}')
  print('\n| grad_cache_chunks | MiB |\n|---|---|')
  for chunks in args.chunks:
    mib = mebibytes(args.model, args.images, args.size, chunks)
    print(f'| {chunks} | {mib:,.0f} |', flush=True)


if __name__ == '__main__':
  main()
