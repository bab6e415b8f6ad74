"""Tests that an installed copy runs outside the checkout, with its configs."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def test_the_files_of_a_wheel_run_in_another_folder(tmp_path):
  pytest.importorskip('setuptools')
  site = tmp_path / 'site'
  run = lambda *arguments, **how: subprocess.run(
      arguments, check=True, text=True, capture_output=True, **how).stdout
  run(sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', tmp_path, 'build',
      '--build-base', tmp_path / 'base', '--build-lib', site, cwd=ROOT)
  assert (site / 'ssl_jax/packaged/configs/studies/quickstart.py').exists()
  assert not (site / 'configs').exists()
  assert list((site / 'ssl_jax/report').glob('*.html'))
  code = ('import ssl_jax, sys; from ssl_jax import command; sys.argv[0] = "ssl-jax"; '
          f'assert ssl_jax.__file__.startswith({str(site)!r}); command.main()')
  environment = {**os.environ, 'PYTHONPATH': str(site), 'JAX_PLATFORMS': 'cpu'}
  elsewhere = lambda *flags: run(sys.executable, '-c', code, *flags, cwd=tmp_path,
                                 env=environment)
  shown = elsewhere('finetune', '--help', '--config=configs/finetune_imagenet.py')
  assert '1percent, 10percent' in shown  # It imports another config.
  assert '--config.seeds = [0, 1, 2]' in elsewhere(
      'study', '--help', '--config=configs/studies/quickstart.py')
