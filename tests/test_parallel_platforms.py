"""The platform that a function is compiled for decides what is traced."""

import jax
import jax.numpy as jnp
import pytest

from ssl_jax.parallel import platforms


@pytest.mark.parametrize('name, cpu, gpu', [
    ('cpu', True, False), ('tpu', False, False), ('cuda', False, True),
    ('gpu', False, True), ('rocm', False, True)])
def test_platforms(name, cpu, gpu):
  assert platforms.on_cpu() and not platforms.on_gpu()  # the tests' own devices
  with platforms.compile_for(name):
    assert (platforms.on_cpu(), platforms.on_gpu()) == (cpu, gpu)
  assert platforms.on_cpu()


def test_jit_keeps_the_traces_apart():
  f = jax.jit(lambda x: x + (1 if platforms.on_gpu() else 2))
  assert f(jnp.zeros(())) == 2
  with platforms.compile_for('gpu'):
    assert f(jnp.zeros(())) == 1
  assert f(jnp.zeros(())) == 2
