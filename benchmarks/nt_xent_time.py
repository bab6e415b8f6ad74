"""Measures seconds, and memory on a GPU, of NT-Xent's value and gradient.

Each class is that of one framework, and runs in a `benchmarks.harness.worker` process.
"""

import time
from collections.abc import Callable
from typing import Any

DIM, TEMPERATURE = 128, 0.1


def _seconds(once: Callable[[], None], repeats: int) -> dict[str, float]:
  """Times calls that wait for their result, except the first, which compiles."""
  once()
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    once()
    times.append(time.perf_counter() - start)
  return {'median': sorted(times)[repeats // 2], 'min': min(times), 'max': max(times)}


class Jax:
  """Measures our loss: `form` is 'tiled' or 'dense', see ssl_jax.objectives."""

  def __init__(self, form: str):
    import jax

    from ssl_jax.objectives import contrastive, tiled
    loss = {'tiled': lambda z: tiled.nt_xent(z, TEMPERATURE)[0],
            'dense': lambda z: contrastive.nt_xent(z, TEMPERATURE)}[form]
    self._jax, self._function = jax, jax.jit(jax.value_and_grad(loss))

  def measure(self, rows: int, repeats: int) -> dict[str, Any]:
    """Measures bfloat16 embeddings [rows, DIM], the dtype of a bfloat16 network.

    Args:
      rows: number of embeddings.
      repeats: number of calls that are timed.
    """
    jax = self._jax
    z = jax.random.normal(jax.random.key(rows), (rows, DIM), 'bfloat16')
    seconds = _seconds(lambda: jax.block_until_ready(self._function(z)), repeats)
    stats = jax.local_devices()[0].memory_stats() or {}
    loss = float(self._function(z)[0])
    return {'seconds': seconds, 'loss': loss} | (
        {'gibibytes': stats['peak_bytes_in_use'] / 2**30} if stats else {})


class Torch:
  """Measures PyTorch's loss: `form` is 'dense', which is eager, or 'compiled'."""

  def __init__(self, form: str):
    import torch

    from benchmarks.peers import torch_step
    loss = lambda z: torch_step.nt_xent(z, TEMPERATURE)
    self._loss = torch.compile(loss) if form == 'compiled' else loss
    self._torch = torch

  def measure(self, rows: int, repeats: int) -> dict[str, Any]:
    """Measures as `Jax.measure` does."""
    torch = self._torch
    cuda = torch.cuda.is_available()
    z = torch.randn(rows, DIM, dtype=torch.bfloat16, device='cuda' if cuda else 'cpu')
    z.requires_grad_()
    if cuda:
      torch.cuda.reset_peak_memory_stats()
    def once():
      z.grad = None
      self._loss(z).backward()
      float(z.grad[0, 0])
    seconds = _seconds(once, repeats)
    return {'seconds': seconds, 'loss': float(self._loss(z))} | (
        {'gibibytes': torch.cuda.max_memory_allocated() / 2**30} if cuda else {})
