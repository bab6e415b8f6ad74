"""Learns and evaluates self-supervised image representations; README.md explains it."""

from ssl_jax.parallel import xla_flags

__version__ = '0.1.0'

xla_flags.keep_cpu_sums_right()  # the import of any module of the package calls it
