"""Two processes on loopback train and evaluate as one."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import tiny

ROOT = pathlib.Path(__file__).parent.parent
SCRIPT = '''
import json, sys
import jax
jax.config.update('jax_platforms', 'cpu')
jax.config.update('jax_num_cpu_devices', int(sys.argv[1]))
from ssl_jax import evaluate, pretrain
from ssl_jax.train import mesh
mesh.initialize_distributed()
assert jax.device_count() == 4, jax.devices()
fields, workdir = json.loads(sys.argv[2]), sys.argv[3]
pretrain.run(fields, workdir)
# 8, 72 and 20 images in batches of 12: shards of unequal use.
evaluate.run({'protocol': {'name': 'knn', 'k': 5}, 'features': {'batch_size': 12}},
             workdir, workdir + '/knn')
'''


def free_port():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return s.getsockname()[1]


def run(processes, fields, workdir, tmp_path):
  """The script on 4 devices, spread over `processes`."""
  address = f'127.0.0.1:{free_port()}'
  children = []
  for i in range(processes):
    environment = {**os.environ, 'JAX_COMPILATION_CACHE_DIR': str(tmp_path / 'cache')}
    if processes > 1:
      environment |= {'JAX_COORDINATOR_ADDRESS': address,
                      'JAX_NUM_PROCESSES': str(processes), 'JAX_PROCESS_ID': str(i)}
    children.append(subprocess.Popen(
        [sys.executable, '-c', SCRIPT, str(4 // processes), json.dumps(fields),
         str(workdir)], cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
  for child in children:
    out, _ = child.communicate(timeout=300)
    assert child.returncode == 0, out[-3000:]


def losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line)['train/loss'] for line in lines]


@pytest.mark.parametrize('mode', ['resident', 'streamed'])
def test_two_processes_train_and_evaluate_as_one(tmp_path, mode):
  fields = tiny.config(epochs=1)
  fields['feed']['mode'] = mode
  one, two = tmp_path / 'one', tmp_path / 'two'
  run(1, fields, one, tmp_path)
  run(2, fields, two, tmp_path)
  assert len(losses(two)) == 5  # process 0 alone wrote
  np.testing.assert_allclose(losses(two), losses(one), rtol=1e-4)
  results = [json.loads((w / 'knn' / 'result.json').read_text())['result']
             for w in (one, two)]
  assert results[0]['test']['n'] == results[1]['test']['n']
  assert results[0]['test']['top1'] == pytest.approx(results[1]['test']['top1'], abs=.1)
