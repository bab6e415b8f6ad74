"""Every config is accepted by its binary, and runs once it is made tiny."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
import tiny

from ssl_jax import config as config_lib
from ssl_jax import evaluate, finetune, linear_probe, pretrain, study
from ssl_jax.train import optim

CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
NAMES = sorted(str(p.relative_to(CONFIGS))[:-3] for p in CONFIGS.rglob('*.py'))
# The names that may follow a colon.
ARGUMENTS = {
    'evaluate': ('knn', 'nearest', 'linear', 'logistic', 'resplit', 'classifier',
                 'rotation'),
    'finetune': ('simclr', 'rotnet', 'last_stage'),
    'linear_probe': ('linear', 'mlp', 'conv_block')}
EVALUATIONS = {'evaluate': evaluate, 'finetune': finetune,
               'linear_probe': linear_probe}


def load(name, *argument):
  spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.__doc__, config_lib.plain(module.get_config(*argument))


def shrunk(config):
  """A pre-training config on tiny images, with the method and optimizer it has."""
  small = tiny.config()
  width = 1 / 32 if config['model']['name'] == 'nin' else 1 / 16
  grey = config['data'].get('channels') == 1
  return {**config, 'data': {**small['data'], 'channels': 1 if grey else 3},
          'feed': small['feed'], 'log': small['log'],
          'model': {**config['model'], 'width': width},
          'optim': {**config['optim'], 'warmup_epochs': 0},
          'train': {**config['train'], 'knn_every_epochs': 0,
                    'epochs': min(config['train']['epochs'], 0.4)}}


@pytest.mark.parametrize('name', NAMES)
def test_docstring_gives_the_command(name):
  doc, _ = load(name)
  assert f'configs/{name}.py' in doc or 'launch/quickstart.sh' in doc


@pytest.mark.parametrize('name, argument', [
    (name, argument) for name in ARGUMENTS for argument in ARGUMENTS[name]])
def test_evaluations_are_accepted(name, argument):
  EVALUATIONS[name].check(load(name, argument)[1])


@pytest.mark.parametrize('name', [
    n for n in NAMES if n not in ARGUMENTS and not n.startswith('studies/')])
def test_pretraining_runs_once_tiny(name, tmp_path):
  config = load(name)[1]
  pretrain.check(config)
  assert pretrain.run(shrunk(config), tmp_path)['steps'] == 2


@pytest.mark.parametrize('name', [n for n in NAMES if n.startswith('studies/')])
def test_studies_run_once_tiny(name, tmp_path):
  config = load(name)[1]
  study._check(config)
  config['seeds'] = config['seeds'][:1]
  config['methods'] = {k: {**shrunk({**v, 'seed': 0}), 'model': tiny.MODEL}
                       for k, v in config['methods'].items()}
  config['evaluations'] = {k: v for k, v in config['evaluations'].items() if k == 'knn'}
  page = study.run(config, tmp_path)
  results = [json.loads(p.read_text()) for p in tmp_path.glob('*/*/knn/result.json')]
  assert len(results) == len(config['methods']) and page.exists()


# From RotNet's tables of (last epoch, rate).
@pytest.mark.parametrize('name, argument, ends', [
    ('rotnet_cifar10', (), (60, 120, 160, 200)),
    ('linear_probe', ('mlp',), (20, 40, 45, 100)),
    ('linear_probe', ('conv_block',), (35, 70, 85, 100)),
    ('finetune', ('rotnet',), (35, 70, 85, 100)),
    ('finetune', ('last_stage',), (30, 60, 80, 90))])
def test_rotnet_learning_rate_of_every_epoch(name, argument, ends):
  _, config = load(name, *argument)
  assert config['feed']['batch_size'] == 128
  assert config['train']['epochs'] == ends[-1]
  _, schedule = optim.build(config['optim'], batch_size=128, num_examples=1280,
                            total_steps=10 * ends[-1])
  for epoch in range(ends[-1]):
    rate = next(r for e, r in zip(ends, (0.1, 0.02, 0.004, 0.0008), strict=True)
                if e > epoch)
    for step in (10 * epoch, 10 * epoch + 9):
      np.testing.assert_allclose(schedule(step), rate, rtol=1e-5)
