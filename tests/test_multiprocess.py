"""Tests that several processes on loopback train, evaluate, stop and fail together."""

import itertools
import json
import os
import pathlib
import re
import signal
import sys
import time
import types

import cluster
import jax
import numpy as np
import pytest
import stub_encoder
import tiny
from cluster import Run
from PIL import Image

from ssl_jax import cli, jsonl
from ssl_jax.jobs import embed, evaluate, finetune, pretrain
from ssl_jax.jobs import workdir as workdir_lib
from ssl_jax.parallel import preemption, provenance
from ssl_jax.train import loop

# In one worker, because all tests use the same runs.
pytestmark = pytest.mark.xdist_group('multiprocess')
HERE = 'test_multiprocess'


# Functions that the processes of a run call.

def train(workdir, mode='resident'):
  """Trains 10 steps, with checkpoints after 5 and 10; prints a hash of the state."""
  fit = loop.fit

  def fit_and_tell(run):
    state = fit(run)
    print('\nstate', finetune.digest(state))
    return state
  loop.fit = fit_and_tell
  fields = {**tiny.config(online_probe=False), 'model': {'name': 'stub'}}
  fields['feed']['mode'] = mode
  with stub_encoder.registered():
    pretrain.run(fields, workdir)


def train_and_evaluate(folder):
  """Prints which files the process has written, without checkpoints."""
  written = files_written_below(folder)
  train(folder)
  with stub_encoder.registered():
    # 8, 72 and 20 images in batches of 12: the last of each is padded.
    evaluate.run({'protocol': {'name': 'knn', 'k': 5}, 'features': {'batch_size': 12}},
                 folder, pathlib.Path(folder) / 'knn')
    embed.run(folder, pathlib.Path(folder) / 'vectors.npz', batch_size=12)
  print('\nwrote', json.dumps(sorted(written)))


def files_written_below(folder):
  """Returns a set that gets the names of files opened to write, except checkpoints."""
  found = set()

  def audit(event, arguments):
    if event == 'open' and isinstance(arguments[0], str | pathlib.Path):
      path, flags = pathlib.Path(arguments[0]), arguments[2]
      if (flags & (os.O_WRONLY | os.O_RDWR) and path.is_relative_to(folder)
          and not path.is_dir() and 'checkpoints' not in path.parts):
        found.add(path.name)
  sys.addaudithook(audit)
  return found


def train_with_signal(workdir, process, step, name):
  """Sends a signal to one process after it has dispatched a step."""
  reached, calls = preemption.Listener.reached, itertools.count(1)

  def interrupted(self):
    if next(calls) == step and jax.process_index() == process:
      time.sleep(1)  # a checkpoint that was begun is written
      os.kill(os.getpid(), getattr(signal, name))
      time.sleep(3)  # JAX looks once a second; steps take milliseconds
    return reached(self)
  preemption.Listener.reached = interrupted
  train(workdir)


def disagree(other_package):
  """Gives process 1 another seed and another package."""
  if jax.process_index():
    provenance.__file__ = f'{other_package}/parallel/provenance.py'
  cli.config(types.SimpleNamespace(read=lambda: {
      'seed': jax.process_index(), 'data': {'name': 'digits'}}))


def unshared(folder):
  """Gives every process its own disk."""
  workdir_lib.VISIBLE_WITHIN = 1
  train(pathlib.Path(folder) / str(jax.process_index()))


# Tests of their results.

def image_folder(path, images):
  for label in 'ab':
    (path / 'images' / label).mkdir(parents=True)
    for i in range(images):
      Image.new('RGB', (8, 8)).save(path / 'images' / label / f'{i}.png')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('runs')


@pytest.fixture(scope='module')
def outcomes(folder):
  """Returns the status and output of each process, by the name of the run."""
  image_folder(folder / 'host0', 10)
  image_folder(folder / 'host2', 9)
  (folder / 'package').mkdir()
  host = [{'HOME': str(folder / f'host{i}')} for i in range(3)]
  disturbed, two = str(folder / 'disturbed'), (2, 2)
  workdir = f'--workdir={folder / "never"}'
  images = (workdir, '--config.data.name=folder:~/images', '--config.feed.batch_size=4')
  waiting = {'JAX_NUM_PROCESSES': '2',
             'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{cluster.free_port()}'}
  lonely = lambda i: Run(
      f'lonely{i}', 'ssl_jax.pretrain', (workdir, '--join_timeout=2'), (1,),
      ({**waiting, 'JAX_PROCESS_ID': str(i)},))
  return cluster.run_all([
      Run('one', f'{HERE}:train_and_evaluate', (str(folder / 'one'),), (4,)),
      Run('two', f'{HERE}:train_and_evaluate', (str(folder / 'two'),), two),
      Run('four', f'{HERE}:train', (str(folder / 'four'), 'streamed'), (1,) * 4),
      # Ctrl-C is passed to JAX as SIGTERM.
      Run('stopped', f'{HERE}:train_with_signal', (disturbed, 1, 2, 'SIGINT'), two),
      Run('killed', f'{HERE}:train_with_signal', (disturbed, 1, 5, 'SIGKILL'), two),
      Run('resumed', f'{HERE}:train', (disturbed,), two),
      Run('missing', 'ssl_jax.pretrain', images, (1, 1), (host[0], host[1])),
      Run('fewer', 'ssl_jax.pretrain', images, (1, 1), (host[0], host[2])),
      Run('unshared', f'{HERE}:unshared', (str(folder / 'disks'),), (1, 1)),
      Run('disagree', f'{HERE}:disagree', (str(folder / 'package'),), (1, 1)),
      lonely(0), lonely(1)], folder)


def losses(workdir):
  return [row['train/loss'] for row in jsonl.read(workdir / 'metrics.jsonl')]


def result(workdir):
  return json.loads((workdir / 'result.json').read_text())['result']


def printed(name, log):
  return re.search(rf'^{name} (.*)$', log, re.M)[1]


def test_two_processes_train_as_one(outcomes, folder):
  assert outcomes['one'][0] == [0] and outcomes['two'][0] == [0, 0], outcomes['two'][1]
  one, two = (losses(folder / name) for name in ('one', 'two'))
  assert len(two) == 10
  np.testing.assert_allclose(two, one, rtol=1e-4)


def test_four_processes_that_stream_their_rows_train_as_one(outcomes, folder):
  assert outcomes['four'][0] == [0] * 4, outcomes['four'][1]
  np.testing.assert_allclose(losses(folder / 'four'), losses(folder / 'one'), rtol=1e-4)


def test_two_processes_evaluate_as_one(outcomes, folder):
  one, two = (result(folder / name / 'knn')['test'] for name in ('one', 'two'))
  assert one['n'] == two['n'] == 20
  assert one['top1'] == pytest.approx(two['top1'], abs=.1)


def test_two_processes_embed_as_one(folder):
  one, two = (np.load(folder / name / 'vectors.npz') for name in ('one', 'two'))
  assert one['features'].shape == (100, 6)
  np.testing.assert_array_equal(one['file_names'], two['file_names'])
  np.testing.assert_allclose(one['features'], two['features'], rtol=1e-3, atol=1e-5)


def test_process_0_alone_writes(outcomes):
  first, second = (json.loads(printed('wrote', log)) for log in outcomes['two'][1])
  assert {'config.partial', 'metrics.jsonl', 'result.partial'} <= set(first)
  assert not second


def test_ctrl_c_or_sigterm_to_one_process_saves_and_stops_all(outcomes):
  statuses, logs = outcomes['stopped']
  assert statuses == [75, 75], logs
  saved = {re.search(r'step (\d+) is saved', log)[1] for log in logs}
  assert len(saved) == 1 and 2 <= int(saved.pop()) < 10
  assert not any('Traceback' in log for log in logs)
  assert 'stopped by SIGTERM' in logs[0] and 'stopped by Ctrl-C' in logs[1]


def test_what_was_terminated_and_killed_ends_as_if_undisturbed(outcomes, folder):
  assert outcomes['killed'][0][1] == -signal.SIGKILL
  assert outcomes['killed'][0][0] != 0  # it does not go on alone
  statuses, logs = outcomes['resumed']
  assert statuses == [0, 0], logs
  assert 'resumed from step 5' in logs[0]  # the epoch's, newer than SIGTERM's
  assert losses(folder / 'disturbed') == losses(folder / 'two')
  assert len({printed('state', log) for log in [*logs, *outcomes['two'][1]]}) == 1


@pytest.mark.parametrize('name, sentence', [
    ('missing', r'process 1 of 2 \(on .+\): image folder ~/images does not exist'),
    ('fewer', r'process 1 of 2 \(on .+\) differs from process 0 \(.*examples: 16 -> 14'
              r'\); give every host the same files'),
    ('unshared', r'process 1 of 2 \(on .+\): .* is not in --workdir=.*/disks/1; '
                 'choose a folder that all hosts share'),
    ('disagree', r"process 1 of 2 .* \(code: '\w+' -> '\w+'; config.seed: 0 -> 1\); "
                 'give all processes the same command, code and libraries'),
    ('lonely0', 'process 0 can reach .* but some of the 2 processes are missing'),
    ('lonely1', 'process 1 cannot reach process 0 at JAX_COORDINATOR_ADDRESS='),
])
def test_mistakes_stop_all_processes_with_one_sentence(outcomes, name, sentence):
  for status, log in zip(*outcomes[name], strict=True):
    said = [line for line in log.splitlines() if line.startswith('error: ')]
    assert status == 2 and len(said) == 1 and re.search(sentence, said[0]), log
    assert 'Traceback' not in log and 'stack trace' not in log
