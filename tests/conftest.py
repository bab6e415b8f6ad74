"""Eight CPU devices, no silent rank promotion, and where real CIFAR-10 lies."""

import os
import pathlib

import jax
import pytest

jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')


@pytest.fixture
def key():
  return jax.random.key(0)


@pytest.fixture(scope='session')
def tfds_data_dir() -> str:
  """The folder that holds cifar10/3.0.2, or a skip that says what is missing."""
  folder = os.environ.get('TFDS_DATA_DIR', '')
  if not folder or not (pathlib.Path(folder) / 'cifar10').is_dir():
    pytest.skip('real CIFAR-10 is not here: set TFDS_DATA_DIR to a TFDS folder '
                'that holds cifar10')
  return folder
