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
import tiny

from ssl_jax import evaluate, pretrain
from ssl_jax.train import mesh as mesh_lib

ROOT = pathlib.Path(__file__).parent.parent
SCRIPT = '''
import json, sys
import jax
jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', 2)
from ssl_jax.train import mesh
mesh.initialize_distributed()
assert jax.device_count() == 4, jax.devices()
import test_multiprocess
test_multiprocess.train_and_evaluate(json.loads(sys.argv[1]), sys.argv[2])
'''


def train_and_evaluate(fields, workdir):
  pretrain.run(fields, workdir)
  # 8, 72 and 20 images in batches of 12: the last of each is padded.
  evaluate.run({'protocol': {'name': 'knn', 'k': 5}, 'features': {'batch_size': 12}},
               workdir, f'{workdir}/knn')


def free_port():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def run_two_processes(fields, workdir, cache):
  address = f'127.0.0.1:{free_port()}'
  children = [subprocess.Popen(
      [sys.executable, '-c', SCRIPT, json.dumps(fields), str(workdir)], text=True,
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


@pytest.mark.parametrize('mode', ['resident', 'streamed'])
def test_two_processes_train_and_evaluate_as_one(tmp_path, mode, monkeypatch):
  fields = tiny.config(epochs=1)
  fields['feed']['mode'] = mode
  one, two = tmp_path / 'one', tmp_path / 'two'
  run_two_processes(fields, two, tmp_path / 'cache')
  four = mesh_lib.data_mesh(jax.devices()[:4])
  monkeypatch.setattr(mesh_lib, 'data_mesh', lambda: four)
  train_and_evaluate(fields, one)
  assert len(losses(two)) == 5  # process 0 alone wrote
  np.testing.assert_allclose(losses(two), losses(one), rtol=1e-4)
  results = [json.loads((w / 'knn' / 'result.json').read_text())['result']
             for w in (one, two)]
  assert results[0]['test']['n'] == results[1]['test']['n']
  assert results[0]['test']['top1'] == pytest.approx(results[1]['test']['top1'], abs=.1)
