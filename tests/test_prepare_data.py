"""Tests the binary prepare_data in its own process."""

import os
import subprocess
import sys

import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
  """Writes an image folder with two classes and one corrupt file."""
  for c, name in enumerate(['cat', 'dog']):
    (tmp_path / 'photos' / name).mkdir(parents=True)
    for i in range(5):
      Image.new('L' if i == 1 else 'RGB', (6 + i, 8), 20 * i if i == 1 else (
          100 * c, 20 * i, 0)).save(tmp_path / 'photos' / name / f'{i}.png')
  (tmp_path / 'photos' / 'dog' / '3.png').write_bytes(b'torn')
  return tmp_path / 'photos'


def test_the_binary(photos, tmp_path):
  def call(*arguments):
    return subprocess.run(
        [sys.executable, '-m', 'ssl_jax.prepare_data', f'--data_dir={tmp_path}',
         *arguments], capture_output=True, text=True, env={**os.environ})

  done = call('--dataset=folder', f'--source={photos}', '--name=mine')
  assert done.returncode == 0 and 'mine is ready in' in done.stdout
  wrong = call('--dataset=folder', '--name=mine')
  assert wrong.returncode == 2
  assert wrong.stderr.strip().splitlines()[-1].startswith('error: --source is missing')
  assert 'Traceback' not in wrong.stderr
