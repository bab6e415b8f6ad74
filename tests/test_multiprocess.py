"""Two processes on loopback train and evaluate as one."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import evaluate, pretrain
from ssl_jax.train import mesh as mesh_lib

ROOT = pathlib.Path(__file__).parent.parent
SCRIPT = '''
import pathlib, sys
import jax
jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 2)
from ssl_jax.train import mesh
mesh.initialize_distributed()
assert jax.device_count() == 4, jax.devices()
import test_multiprocess
test_multiprocess.train_and_evaluate(pathlib.Path(sys.argv[1]))
'''
MODES = ('resident', 'streamed')


def train_and_evaluate(folder):
  """Once for each way of feeding: two processes take long to start."""
  with stub_encoder.registered():
    for mode in MODES:
      fields = {**tiny.config(epochs=1), 'model': {'name': 'stub'}}
      fields['feed']['mode'] = mode
      pretrain.run(fields, folder / mode)
      # 8, 72 and 20 images in batches of 12: the last of each is padded.
      evaluate.run(
          {'protocol': {'name': 'knn', 'k': 5}, 'features': {'batch_size': 12}},
          folder / mode, folder / mode / 'knn')


def free_port():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def run_two_processes(folder, cache):
  address = f'127.0.0.1:{free_port()}'
  children = [subprocess.Popen(
      [sys.executable, '-c', SCRIPT, str(folder)], text=True,
      env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}',
           'JAX_COMPILATION_CACHE_DIR': str(cache),
           'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
           'JAX_COORDINATOR_ADDRESS': address, 'JAX_NUM_PROCESSES': '2',
           'JAX_PROCESS_ID': str(i)},
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for i in range(2)]
  for child in children:
    out, _ = child.communicate(timeout=300)
    assert child.returncode == 0, out[-3000:]


def losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['train/loss'] for line in lines]


def test_two_processes_train_and_evaluate_as_one(tmp_path, monkeypatch):
  two, one = tmp_path / 'two', tmp_path / 'one'
  run_two_processes(two, tmp_path / 'cache')
  four = mesh_lib.data_mesh(jax.devices()[:4])
  monkeypatch.setattr(mesh_lib, 'data_mesh', lambda: four)
  train_and_evaluate(one)
  for mode in MODES:
    a, b = one / mode, two / mode
    assert len(losses(b)) == 5  # process 0 alone wrote
    np.testing.assert_allclose(losses(b), losses(a), rtol=1e-4)
    a, b = (json.loads((w / 'knn' / 'result.json').read_text())['result']['test']
            for w in (a, b))
    assert a['n'] == b['n']
    assert a['top1'] == pytest.approx(b['top1'], abs=.1)
