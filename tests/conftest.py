"""Sets eight CPU devices and no rank promotion, and finds the real CIFAR-10."""

import atexit
import os
import pathlib
import shutil
import tempfile

# Many tests compile the same small programs: one cache for all of them, pytest's
# workers and the binaries that tests start included.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
  _cache = tempfile.mkdtemp(prefix='ssl_jax_tests_')
  atexit.register(shutil.rmtree, _cache, ignore_errors=True)
  os.environ['JAX_COMPILATION_CACHE_DIR'] = _cache
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
# LLVM's optimizer takes most of their time, and no test measures speed. What XLA
# itself does to a program (fusion, layouts, collectives) is the same as for users.
os.environ['XLA_FLAGS'] = ' '.join([
    '--xla_backend_optimization_level=0', os.environ.get('XLA_FLAGS', '')])

import jax  # noqa: E402  (reads the environment)
import pytest  # noqa: E402

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')

import ssl_jax  # noqa: E402, F401  (completes XLA_FLAGS before a test starts JAX)


@pytest.fixture
def key():
  return jax.random.key(0)


@pytest.fixture(scope='session')
def tfds_data_dir() -> str:
  """Returns the folder that holds cifar10/3.0.2, or skips the test."""
  folder = os.environ.get('TFDS_DATA_DIR', '')
  if not folder or not (pathlib.Path(folder) / 'cifar10').is_dir():
    pytest.skip('real CIFAR-10 is not here: set TFDS_DATA_DIR to a TFDS folder '
                'that holds cifar10')
  return folder
