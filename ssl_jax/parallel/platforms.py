"""Knows the platform that a function is being compiled for: CPU, GPU or TPU.

It is the default backend, unless one compiles for a device that this host lacks:
`with platforms.compile_for('tpu'): ...lower(...)`. `jax.jit` keeps the traces of
different platforms apart.
"""

import jax

compile_for = jax.make_user_context(None)


def on_cpu() -> bool:
  """Returns whether the function that is being traced will run on a CPU."""
  return _name() == 'cpu'


def on_gpu() -> bool:
  """Returns whether the function that is being traced will run on a GPU."""
  return _name() in ('gpu', 'cuda', 'rocm')


def _name() -> str:
  return compile_for.value or jax.default_backend()
