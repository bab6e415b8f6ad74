"""Tests what every binary prints, writes and exits with."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import forked
import image_folders
import numpy as np
import pytest

from ssl_jax.methods import METHODS

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope='module')
def environment(tmp_path_factory):
  """Sets one compilation cache for all binaries, and a small synthetic data set."""
  cache = tmp_path_factory.mktemp('cache')
  return {**os.environ, 'JAX_PLATFORMS': 'cpu', 'JAX_COMPILATION_CACHE_DIR': str(cache),
          'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}


def start(environment, module, *flags, cwd=ROOT):
  return subprocess.Popen(
      [sys.executable, '-m', f'ssl_jax.{module}', *flags], cwd=cwd, text=True,
      env={**environment, 'PYTHONPATH': str(ROOT)},
      stdout=subprocess.PIPE, stderr=subprocess.PIPE)



def run(environment, module, *flags, status=0, cwd=ROOT):
  process = start(environment, module, *flags, cwd=cwd)
  out, err = process.communicate(timeout=300)
  assert process.returncode == status, err
  return out, err


@pytest.fixture(scope='module')
def config_file(tmp_path_factory):
  """Writes a config outside the project, as a user would."""
  path = tmp_path_factory.mktemp('config') / 'mine.py'
  path.write_text(
      'import json\nfrom ml_collections import ConfigDict\n'
      'def get_config():\n'
      f'  return ConfigDict(json.loads({json.dumps(json.dumps(_tiny()))!s}))\n')
  return path


def _tiny():
  import tiny
  fields = tiny.config(epochs=2)
  # The same program however many epochs: the cosine's length would be part of it.
  fields['optim']['schedule'] = 'constant'
  return fields


@pytest.fixture(scope='module')
def trained(environment, config_file, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('run') / 'simclr'
  out, err = run(environment, 'pretrain', f'--config={config_file}',
                 f'--workdir={workdir}', '--config.train.epochs=1')
  assert 'step 5/5' in out and 'loss' in out
  assert 'Traceback' not in err
  return workdir


def test_pretrain_writes_what_it_says(trained):
  assert json.loads((trained / 'config.json').read_text())['train']['epochs'] == 1
  assert json.loads((trained / 'result.json').read_text())['result']['steps'] == 5
  assert len((trained / 'metrics.jsonl').read_text().splitlines()) == 5


def test_evaluate_prints_accuracies_and_writes_the_rest(environment, trained):
  out, _ = run(environment, 'evaluate', f'--checkpoint={trained}',
               '--config=configs/evaluate.py:knn', '--config.protocol.k=5')
  result = json.loads((trained / 'evaluations/knn/result.json').read_text())['result']
  assert f'{result["test"]["top1"]:.2%}' in out
  assert np.sum(result['test']['confusion']) == result['test']['n']


def test_what_is_finished_says_so_and_is_shown_again(
    environment, trained, config_file, tmp_path):
  evaluate = ['evaluate', [f'--checkpoint={trained}', '--config.protocol.k=5']]
  pretrain = ['pretrain', [f'--config={config_file}', f'--workdir={trained}',
                           '--config.train.epochs=1']]
  before = (trained / 'metrics.jsonl').read_bytes()
  first, again, trained_again = forked.run(
      environment, tmp_path, [evaluate, evaluate, pretrain])
  assert first[1] == again[1] and 'top-1' in again[1]
  folder = trained / 'evaluations' / 'knn'
  assert f'{folder} is finished (step 5, ' in again[2]
  assert f'{trained} is finished (step 5, ' in trained_again[2]
  assert '5 steps, 1 epochs, 80 images' in trained_again[1]
  assert (trained / 'metrics.jsonl').read_bytes() == before


def test_evaluate_writes_features(environment, trained, tmp_path):
  path = tmp_path / 'features.npz'
  run(environment, 'evaluate', f'--checkpoint={trained}', f'--output={path}',
      '--config.features.endpoint=stage2', '--config.features.pool=max')
  with np.load(path) as arrays:
    assert arrays['train_features'].shape == (72, 8)
    assert arrays['validation_features'].shape == (8, 8)
    assert arrays['train_labels'].dtype == np.int32


def test_embed_writes_a_vector_for_each_image_of_a_folder(
    environment, trained, tmp_path):
  for i in range(3):
    image_folders.save(tmp_path / 'photos' / f'{i}.png', 80 * i, (12, 9))
  (tmp_path / 'photos' / 'bad.png').touch()
  out, err = run(environment, 'embed', f'--checkpoint={trained}',
                 f'--data=folder:{tmp_path / "photos"}', '--output=z.csv',
                 '--endpoint=stage2', '--pool=2', cwd=tmp_path)
  assert 'z.csv: 3 vectors of 32 numbers (train 3; no labels)' in out
  assert '1 images do not decode and have no vector:\n  bad.png\n' in out
  assert 'Traceback' not in err
  header, *rows = (tmp_path / 'z.csv').read_text().splitlines()
  assert header.startswith('file_name,split,label,f0,f1,')
  assert [row.split(',')[0] for row in rows] == ['0.png', '1.png', '2.png']


def test_linear_probe_trains_a_head(environment, trained, tmp_path):
  out, _ = run(environment, 'linear_probe', f'--checkpoint={trained}',
               f'--workdir={tmp_path / "probe"}', '--config.train.epochs=2',
               '--config.feed.batch_size=16')
  assert 'top-1' in out
  assert (tmp_path / 'probe' / 'result.json').exists()


def test_sigterm_and_ctrl_c_exit_with_75_and_the_same_command_goes_on(
    environment, config_file, tmp_path):
  flags = [f'--config={config_file}', f'--workdir={tmp_path}',
           '--config.train.epochs=4000', '--config.log.checkpoint_every_epochs=4000']
  process = start(environment, 'pretrain', *flags)
  deadline = time.time() + 120
  while not (tmp_path / 'metrics.jsonl').exists() or not (
      tmp_path / 'metrics.jsonl').read_text():
    assert time.time() < deadline and process.poll() is None
    time.sleep(0.2)
  process.send_signal(signal.SIGTERM)
  _, err = process.communicate(timeout=60)
  assert process.returncode == 75
  assert 'stopped by SIGTERM' in err and 'Traceback' not in err
  saved = [int(p.name) for p in (tmp_path / 'checkpoints').iterdir()]
  assert len(saved) == 1
  again = start(environment, 'pretrain', *flags)
  while f'resumed from step {saved[0]}' not in again.stderr.readline():
    assert again.poll() is None
  while len((tmp_path / 'metrics.jsonl').read_text().splitlines()) <= saved[0]:
    assert again.poll() is None
    time.sleep(0.05)
  again.send_signal(signal.SIGINT)
  _, err = again.communicate(timeout=60)
  assert again.returncode == 75
  assert 'stopped by Ctrl-C; step' in err and 'Traceback' not in err


MISTAKES = [
    ('pretrain', ['--config.optim.lerning_rate=1'],
     "config.optim.lerning_rate is not a field; did you mean 'learning_rate'?"),
    ('pretrain', ['--config.data.zzz=1'], 'config.data.zzz is not a field'),
    ('pretrain', ['--config.data.label_subset.fraction=2'],
     'label_subset.fraction is 2'),
    ('pretrain', ['--workdir=W', '--config.feed.batch_size=1'], 'batch_size is 1'),
    ('pretrain', ['--workdir=W', '--config.data.name=digits',
                  '--config.feed.batch_size=64', '--config.train.epochs=0.01'],
     'config.train.epochs is 0.01, which is less than one step'),
    ('evaluate', ['--config.data.label_subset.fraction=0.1'],
     '--checkpoint is missing'),
    ('benchmark', [], '--config is missing, for example --config='),
    ('pretrain', ['--config=configs/none.py', '--config.seed=1'], 'does not exist'),
    ('pretrain', ['--config.optim.learning_rate=fast'], "'fast'"),
    ('pretrain', ['--config=configs/none.py'], 'does not exist'),
    ('pretrain', [], '--workdir is missing'),
    ('pretrain', ['--workdir=/dev/null/x'], 'cannot be written'),
    ('pretrain', ['--workdir=W', '--config.model.name=resnet19'], "'resnet18'"),
    ('pretrain', ['--workdir=W', '--config.data.name=cifar11'], "'cifar11'"),
    ('pretrain', ['--workdir=W', '--config.data.name=folder:/no/such',
                  '--config.data.image_size=96', '--config.data.canvas=True'],
     '/no/such does not exist'),
    ('pretrain', ['--workdir=W', '--config.data.name=digits',
                  '--config.feed.batch_size=5000'], 'batch_size is 5000, more than'),
    ('evaluate', ['--checkpoint=W/none'], 'holds no checkpoint'),
    ('evaluate', ['--checkpoint=W', '--config=configs/evaluate.py:knnn'], "'knnn'"),
    ('linear_probe', ['--workdir=W'], '--checkpoint is missing'),
    ('finetune', ['--workdir=W', '--checkpoint=W/none'], 'holds no checkpoint'),
    ('compress', ['--workdir=W', '--checkpoint=W/none'], 'holds no checkpoint'),
    ('make_report', ['--workdir=/no/such'], '/no/such'),
    ('study', ['--workdir=W', '--config.seeds=()'], 'config.seeds'),
    ('study', ['--workdir=W', '--scale=2'], '--scale is 2; use a number above 0'),
    ('prepare_data', ['--dataset=mnist'], 'mnist'),
    ('embed', ['--checkpoint=W/none', '--output=W/z.npz'], 'holds no checkpoint'),
    ('embed', ['--checkpoint=W'], '--output is missing'),
    ('pictures', ['--checkpoint=W/none'], 'holds no checkpoint'),
    ('export', ['--checkpoint=W', '--output=W/z.pt'], 'ends in .safetensors'),
    ('export', ['--format=pt'], 'should be one of <safetensors|timm|jax|onnx>'),
    ('embed', ['--checkpoint=W', '--output=W/z.txt'], "accepted are .npz, .csv"),
]
BINARIES = [
    'pretrain', 'evaluate', 'finetune', 'linear_probe', 'study', 'make_report',
    'prepare_data', 'benchmark', 'compress', 'embed', 'export', 'pictures']


@pytest.fixture(scope='module')
def forks(environment, tmp_path_factory):
  """Returns the outputs of all mistakes and of every --help."""
  folder = tmp_path_factory.mktemp('forks')
  mistakes = []
  for module, flags, _ in MISTAKES:
    own = tmp_path_factory.mktemp('W')
    mistakes.append((module, [f.replace('=W', f'={own}') for f in flags]))
  helps = [(module, ['--help']) for module in BINARIES]
  ran = forked.run(environment, folder, mistakes + helps)
  return ran[:len(mistakes)], dict(zip(BINARIES, ran[len(mistakes):], strict=True))


@pytest.mark.parametrize('i', range(len(MISTAKES)), ids=[m[2] for m in MISTAKES])
def test_mistakes_are_one_sentence(forks, i):
  status, _, err = forks[0][i]
  assert status == 2, err
  errors = [line for line in err.splitlines() if line.startswith('error: ')]
  assert len(errors) == 1 and MISTAKES[i][2] in errors[0]
  assert 'Traceback' not in err


@pytest.mark.parametrize('module', BINARIES)
def test_help_shows_a_command_to_copy(forks, module):
  status, out, err = forks[1][module]
  assert status == 0 and 'Traceback' not in err
  assert f'python -m ssl_jax.{module} --' in out and '--join_timeout' in out


@pytest.mark.parametrize('module, shown', [
    ('pretrain', ['(default: configs/simclr_cifar10.py)', 'resnet18, resnet20,',
                  '--config.optim.learning_rate = 1.0',
                  '--config.data.max_bad_images = 10',
                  *(f"'{method}'" for method in METHODS),
                  "'byol_view2', 'crop_flip'"]),
    ('evaluate', ['(default: configs/evaluate.py:knn)', "'own_head', 'knn', 'linear'",
                  '--config.protocol.k = 200', 'knn, nn1, linear, logistic']),
    ('finetune', ['simclr, prune, rotnet, last_stage, transfer, scratch',
                  '--config.train.steps',
                  '--config.data.label_subset.fraction = 0.01']),
    ('compress', ['prune70, prune90, prune95', '--config.compression.bits = 6']),
    ('study', ['--config.seeds = [0, 1, 2]', '--scale']),
    ('benchmark', ['--topology', '--config.feed.batch_size'])])
def test_help_shows_the_fields_of_the_config(forks, module, shown):
  out = ' '.join(forks[1][module][1].split())
  assert [words for words in shown if words not in out] == []
