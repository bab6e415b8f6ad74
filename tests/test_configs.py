"""Every config is accepted by its binary, and runs once it is made tiny."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import config as config_lib
from ssl_jax import evaluate, finetune, linear_probe, pretrain, report, study
from ssl_jax.train import optim

CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
NAMES = sorted(str(p.relative_to(CONFIGS))[:-3] for p in CONFIGS.rglob('*.py'))
# The names that may follow a colon.
ARGUMENTS = {
    'byol_cifar10': ('resnet18', 'model=resnet20'),
    'simsiam_cifar10': ('resnet18', 'model=resnet20'),
    'evaluate': ('knn', 'nearest', 'linear', 'logistic', 'resplit', 'classifier',
                 'rotation'),
    'finetune': ('simclr', 'rotnet', 'last_stage', 'transfer', 'scratch'),
    'finetune_imagenet': ('1percent', '10percent'),
    'linear_probe': ('linear', 'mlp', 'conv_block'),
    'simclr_cifar10': ('resnet18', 'model=resnet20', 'resnet50', 'resnet50x2'),
    'simclr_imagenet': ('resnet50', 'resnet50x2', 'resnet50x4'),
    'supervised_cifar10': ('resnet18', 'resnet20', 'resnet50', 'nin'),
    **{f'studies/report_{letter}': ('report', 'best') for letter in 'abcd'}}
EVALUATIONS = {'evaluate': evaluate, 'finetune': finetune,
               'finetune_imagenet': finetune, 'linear_probe': linear_probe}

STUDIES = [n for n in NAMES if n.startswith('studies/')]
PRETRAINING = [n for n in NAMES if n not in EVALUATIONS and n not in STUDIES]


@pytest.fixture(autouse=True)
def configs_import_each_other(monkeypatch):
  monkeypatch.syspath_prepend(str(CONFIGS.parent))  # as app.run does


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def with_arguments(names):
  return [(name, *argument) for name in names
          for argument in [()] + [(a,) for a in ARGUMENTS.get(name, ())]]


def load(name, *argument):
  spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.__doc__, config_lib.plain(module.get_config(*argument))


def shrunk(config):
  """A pre-training config on tiny images, with the method and optimizer it has."""
  small = tiny.config()
  nin = config['model']['name'] == 'nin'
  grey = config['data'].get('channels') == 1
  heads = {name: {**config[name], **{k: 8 for k in ('hidden', 'dim') if k in
                                     config[name]}}
           for name in ('projector', 'predictor') if name in config}
  return {**config, **heads, 'data': {**small['data'], 'channels': 1 if grey else 3},
          'feed': small['feed'], 'log': small['log'],
          'model': {**config['model'], 'width': 1 / 32} if nin else {'name': 'stub'},
          'optim': {**config['optim'], 'warmup_epochs': 0},
          'train': {**config['train'], 'knn_every_epochs': 0,
                    'epochs': min(config['train']['epochs'], 0.4)}}


@pytest.mark.parametrize('name', NAMES)
def test_docstring_gives_the_command(name):
  doc, _ = load(name)
  assert f'configs/{name}.py' in doc or 'launch/quickstart.sh' in doc


@pytest.mark.parametrize('which', with_arguments(EVALUATIONS), ids=':'.join)
def test_evaluations_are_accepted(which):
  EVALUATIONS[which[0]].check(load(*which)[1])


@pytest.mark.parametrize('which', with_arguments(PRETRAINING), ids=':'.join)
def test_pretraining_is_accepted(which):
  pretrain.check(load(*which)[1])


@pytest.mark.parametrize('which', with_arguments(STUDIES), ids=':'.join)
def test_studies_are_accepted_and_name_only_what_they_run(which):
  config = study.resolve(load(*which)[1])
  study._check(config)
  wanted = study.evaluations(config)
  cells = {(method, e.name) for e in wanted for method in e.methods}
  for p in config.get('published', ()):
    assert (p['method'], p['evaluation']) in cells
  known = {*config['methods'], *config['evaluations'], *(e.name for e in wanted),
           *(e.data_set[1] for e in wanted if e.data_set),
           *(f'{m}/{(e.subset or e.data_set)[0]}' for e in wanted
             if e.subset or e.data_set for m in e.methods)}
  assert config.get('labels', {}).keys() <= known
  assert config.get('heatmap', {}).get('cells', {}).keys() <= config['methods'].keys()


@pytest.mark.parametrize('name', ARGUMENTS)
def test_an_unknown_argument_is_told_what_there_is(name):
  accepted = ', '.join(a.removeprefix('model=') for a in ARGUMENTS[name])
  with pytest.raises(ValueError, match=f"^'x' is not one of {accepted}$"):
    load(name, 'x')


def test_augmentations_are_all_pairs():
  config = load('studies/report_c_augmentations')[1]
  cells = [tuple(cell) for cell in config['heatmap']['cells'].values()]
  assert len(config['methods']) == len(set(cells)) == 28
  assert all(0 <= i <= j < len(config['heatmap']['axes']) == 7 for i, j in cells)
  ops = lambda name: config['methods'][name]['augment']['ops']
  assert ops('crop') == ['crop', 'flip']
  assert ops('crop_noise') == ['crop', 'flip', 'noise']
  assert ops('blur_sobel') == ['blur', 'sobel']


@pytest.mark.parametrize('name', ['rotnet_cifar10', 'simclr_cifar10', 'byol_cifar10',
                                  'simsiam_cifar10'])
def test_pretraining_runs_once_tiny(name, tmp_path):
  assert pretrain.run(shrunk(load(name)[1]), tmp_path)['steps'] == 2


def test_a_study_runs_once_tiny(tmp_path, monkeypatch):
  monkeypatch.setattr(report.plots, 'plots', lambda study: [])  # most of the time
  config = load('studies/quickstart')[1]
  config['seeds'] = config['seeds'][:1]
  config['methods'] = {k: shrunk({**v, 'seed': 0})
                       for k, v in config['methods'].items()}
  config['evaluations'] = {'knn': config['evaluations']['knn']}
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
