"""Self-supervised image representations in JAX. Start at README.md."""

from ssl_jax.parallel import xla_flags

__version__ = '0.1.0'

xla_flags.keep_cpu_sums_right()  # here, so that importing any module suffices
