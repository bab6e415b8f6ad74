r"""Compares memory and time of the tiled NT-Xent with those of the dense one.

  python -m benchmarks.nt_xent_memory

Memory is that of the temporary buffers of value, gradient and metrics per device, as
XLA counts them. The programs are compiled for up to 8 simulated CPU devices and not
executed. Time is measured on one of them, with both forms in every round. The ratio of
a round is the time of the dense form divided by that of the tiled form. The command
prints the tables of docs/benchmarks.md.
"""

import argparse
import os
import statistics
import time

import jax
import jax.numpy as jnp

from ssl_jax.objectives import contrastive, tiled
from ssl_jax.parallel import mesh as mesh_lib


def dense_nt_xent(z, temperature):
  """Returns loss and metrics of embeddings z, as `tiled.nt_xent` does."""
  return (contrastive.nt_xent(z, temperature),
          contrastive.contrastive_metrics(z, temperature))


def compiled(loss, rows: int, dim: int, devices: int):
  """Compiles loss, metrics and gradient of float32 embeddings.

  Args:
    loss: maps embeddings and a temperature to loss and metrics.
    rows: number of embeddings.
    dim: dimension of an embedding.
    devices: number of devices that the rows are sharded over.
  """
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  shape = jax.ShapeDtypeStruct((rows, dim), jnp.float32,
                               sharding=mesh_lib.sharded(mesh))

  def value_and_grad(z):
    with mesh_lib.use_mesh(mesh):
      return jax.value_and_grad(lambda z: loss(z, 0.1), has_aux=True)(z)
  out = (mesh_lib.replicated(mesh), mesh_lib.sharded(mesh))
  return jax.jit(value_and_grad, out_shardings=out).lower(shape).compile()


def mebibytes(loss, rows: int, dim: int, devices: int) -> str:
  """Returns the MiB of temporary buffers per device.

  Args:
    loss: the function of embeddings and temperature.
    rows: number of embeddings.
    dim: dimension of an embedding.
    devices: number of devices.
  """
  memory = compiled(loss, rows, dim, devices).memory_analysis()
  return f'{memory.temp_size_in_bytes / 2**20:,.0f}'


def ratios(rows: int, dim: int, rounds: int) -> tuple[float, float, list[float]]:
  """Measures the dense and the tiled form on one device.

  Args:
    rows: number of embeddings.
    dim: dimension of an embedding.
    rounds: number of rounds.

  Returns:
    The median seconds of the dense and of the tiled form, and the ratio of every round.
  """
  z = jax.random.normal(jax.random.key(0), (rows, dim))
  losses = [compiled(loss, rows, dim, 1) for loss in (dense_nt_xent, tiled.nt_xent)]
  seconds = [[], []]
  for i in range(rounds + 1):
    for f, times in zip(losses, seconds, strict=True):
      start = time.perf_counter()
      jax.block_until_ready(f(z))
      if i:  # the first round is left out, since it allocates memory
        times.append(time.perf_counter() - start)
  return (*map(statistics.median, seconds),
          [a / b for a, b in zip(*seconds, strict=True)])


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--dim', type=int, default=128,
                      help='dimension of the embeddings')
  parser.add_argument('--rounds', type=int, default=7,
                      help='number of times that each form is timed')
  parser.add_argument('--max_rows', type=int, default=2**20,
                      help='most embeddings of the tiled form')
  parser.add_argument('--max_dense_rows', type=int, default=2**17,
                      help='most embeddings of the dense form')
  parser.add_argument('--max_timed_rows', type=int, default=2**13,
                      help='most embeddings that are timed')
  args = parser.parse_args()
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', 8)

  print(f'jax {jax.__version__}, {len(os.sched_getaffinity(0))} cores, load '
        f'{os.getloadavg()[0]:.1f}, {args.dim} dimensions')
  print('\n| rows | dense, 1 device | tiled, 1 | dense, 8 devices | tiled, 8 |'
        '\n|---|---|---|---|---|')
  for rows in (2**k for k in range(13, args.max_rows.bit_length())):
    cells = [mebibytes(loss, rows, args.dim, devices)
             if loss is tiled.nt_xent or rows <= args.max_dense_rows else ''
             for devices in (1, 8) for loss in (dense_nt_xent, tiled.nt_xent)]
    print(f'| {rows:,} | ' + ' | '.join(cells) + ' |', flush=True)
  print('\n| rows | dense, ms | tiled, ms | ratio, median [range] |\n|---|---|---|---|')
  for rows in (2**k for k in range(10, args.max_timed_rows.bit_length())):
    dense, ours, each = ratios(rows, args.dim, args.rounds)
    print(f'| {rows:,} | {1e3 * dense:.0f} | {1e3 * ours:.0f} | '
          f'{statistics.median(each):.2f} [{min(each):.2f}, {max(each):.2f}] |',
          flush=True)


if __name__ == '__main__':
  main()
