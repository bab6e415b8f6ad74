"""Self-supervised image representations in JAX. Start at README.md."""

__version__ = '0.1.0'
