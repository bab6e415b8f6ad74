"""Learns and evaluates self-supervised image representations; README.md explains it.

    import ssl_jax
    encoder = ssl_jax.load('runs/simclr')
    vectors = encoder.embed(['a.jpg', 'b.jpg'])
"""

import importlib
from typing import Any

from ssl_jax.parallel import xla_flags

__version__ = '0.1.0'
__all__ = ['load', 'pretrain']

xla_flags.keep_cpu_sums_right()  # the import of any module of the package calls it


def __getattr__(name: str) -> Any:
  """Returns a function of `ssl_jax.api`, which imports JAX when it is first used.

  The binary ssl_jax/pretrain.py is not imported as a module, so that the name
  `ssl_jax.pretrain` is free for the function.
  """
  if name in __all__:
    return getattr(importlib.import_module('ssl_jax.api'), name)
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
