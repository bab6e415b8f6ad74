"""Measures the speed of a matrix product and of a copy, in either framework.

Each class is that of one framework, and runs in a `benchmarks.harness.worker` process.
"""

import time
from collections.abc import Callable
from typing import Any

_REPEATS, _CALLS = 5, 10


def _figures(product: Callable[[int], None], copy: Callable[[int], None],
             size: int, gigabytes: float) -> dict[str, float]:
  """Returns the speeds of the fastest of a few products and of a few copies."""
  def best(function):
    function(_CALLS)
    seconds = []
    for _ in range(_REPEATS):
      start = time.perf_counter()
      function(_CALLS)
      seconds.append((time.perf_counter() - start) / _CALLS)
    return min(seconds)
  return {'teraflops': 2 * size**3 / best(product) / 1e12,
          'terabytes_per_second': 2 * gigabytes / best(copy) / 1e3}


class Jax:
  """Measures JAX."""

  def measure(self, size: int, gigabytes: float) -> dict[str, Any]:
    """Measures a bfloat16 matrix product and a float32 copy.

    Args:
      size: side of the square matrices.
      gigabytes: size of the array that is read and written.

    Returns:
      'teraflops' (TFLOP/s) and 'terabytes_per_second'.
    """
    import jax
    import jax.numpy as jnp
    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    buffer = jnp.ones(int(gigabytes * 1e9) // 4)
    def again(function, x):
      function = jax.jit(function)
      def calls(n):
        out = [function(x) for _ in range(n)][-1]
        out.block_until_ready()
      return calls
    return _figures(again(lambda x: x @ x, matrix), again(lambda x: -x, buffer), size,
                    gigabytes)


class Torch:
  """Measures PyTorch."""

  def measure(self, size: int, gigabytes: float) -> dict[str, Any]:
    """Measures as `Jax.measure` does."""
    import torch
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    wait = torch.cuda.synchronize if device == 'cuda' else lambda: None
    matrix = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    buffer = torch.ones(int(gigabytes * 1e9) // 4, device=device)
    into = torch.empty_like(matrix), torch.empty_like(buffer)
    def again(function):
      def calls(n):
        for _ in range(n):
          function()
        wait()
      return calls
    return _figures(again(lambda: torch.mm(matrix, matrix, out=into[0])),
                    again(lambda: into[1].copy_(buffer)), size, gigabytes)
