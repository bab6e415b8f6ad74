"""Tests that every config is accepted by its binary, and that a tiny one runs."""

import contextlib
import functools
import importlib.util
import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import config as config_lib
from ssl_jax import config_file, errors, plain_config, report
from ssl_jax import fields as fields_lib
from ssl_jax.augment import stages as augment_stages
from ssl_jax.jobs import compress, evaluate, finetune, linear_probe, pretrain
from ssl_jax.jobs import pictures as pictures_job
from ssl_jax.studies import run, stages
from ssl_jax.train import optim

CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
NAMES = sorted(str(p.relative_to(CONFIGS))[:-3] for p in CONFIGS.rglob('*.py')
               if 'def get_config' in p.read_text())
EVALUATIONS = {'compress': compress, 'evaluate': evaluate, 'pictures': pictures_job,
               'finetune': finetune, 'finetune_imagenet': finetune,
               'linear_probe': linear_probe}


def load_module(name):
  spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(CONFIGS.parent))  # as cli.run does
    spec.loader.exec_module(module)
  return module


# The names that may follow a colon.
ARGUMENTS = {name: tuple(presets) for name in NAMES
             if (presets := vars(load_module(name)).get('PRESETS'))}
STUDIES = [n for n in NAMES if n.startswith('studies/')]
PRETRAINING = [n for n in NAMES if n not in EVALUATIONS and n not in STUDIES]


@pytest.fixture(autouse=True)
def configs_import_each_other(monkeypatch):
  monkeypatch.syspath_prepend(str(CONFIGS.parent))  # as cli.run does


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def with_arguments(names):
  return [(name, *argument) for name in names
          for argument in [()] + [(a,) for a in ARGUMENTS.get(name, ())]]


def load(name, *argument):
  module = load_module(name)
  return module.__doc__, plain_config.plain(module.get_config(*argument))


def shrunk(config):
  """Returns a pre-training config on tiny images, with its own method and optimizer."""
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
  EVALUATIONS[which[0]].parse(load(*which)[1])


@pytest.mark.parametrize('which', with_arguments(PRETRAINING), ids=':'.join)
def test_pretraining_is_accepted(which):
  pretrain.parse(load(*which)[1])


@pytest.mark.parametrize('which', with_arguments(STUDIES), ids=':'.join)
def test_studies_are_accepted_and_name_only_what_they_run(which):
  config = stages.resolve(load(*which)[1])
  stages.check(config)
  wanted = stages.evaluations(config)
  cells = {(method, e.name) for e in wanted for method in e.methods}
  for p in config.get('published', ()):
    assert (p['method'], p['evaluation']) in cells
  known = {*config['methods'], *config['evaluations'], *(e.name for e in wanted),
           *(e.data_set[1] for e in wanted if e.data_set),
           *(f'{m}/{(e.subset or e.data_set)[0]}' for e in wanted
             if e.subset or e.data_set for m in e.methods)}
  assert config.get('display_names', {}).keys() <= known
  assert config.get('heatmap', {}).get('cells', {}).keys() <= config['methods'].keys()


@pytest.mark.parametrize('name', ARGUMENTS)
def test_an_unknown_argument_is_told_what_there_is(name):
  accepted = ', '.join(ARGUMENTS[name])
  with pytest.raises(errors.UserError, match=f"'x' is not one of {accepted}"):
    config_file.load(f'configs/{name}.py:x')


BINARIES = {  # what a config of each may hold
    'pretrain': pretrain.Config, 'compress': compress.Config,
    'evaluate': evaluate.Config,
    'finetune': finetune.Config, 'study': stages.StudyConfig}


def specs():
  """Returns every dataclass and builder of a section of a config, by a name."""
  found = {f'augment.{name}': (cls, ()) for name, cls in augment_stages.BY_NAME.items()}

  def visit(name, target, given):
    found[name] = (target, given)
    for one in config_lib.schema(target, given).values():
      if held := one.section:
        targets = held.target if held.key else {'': held.target}
        for key, inner in targets.items():
          visit(f'{name}.{one.name}{":" * bool(key)}{key}', inner, held.given)
  for binary, target in BINARIES.items():
    visit(binary, target, ())
  return found


SPECS = specs()
BAD = (-1, 0.01, math.nan, math.inf, True, '3', [3], {'a': 1}, None)


def kinds(one):
  return set(fields_lib.members(one.type))


@pytest.mark.parametrize('name', SPECS)
def test_every_field_has_a_doc_a_range_and_a_default_that_is_accepted(name):
  for one in config_lib.schema(*SPECS[name]).values():
    if one.section:
      continue
    assert one.rule.doc, f'{name}.{one.name} has no doc'
    numbers = kinds(one) & {int, float, tuple[float, ...], tuple[float, float],
                            tuple[int, ...]}
    low = one.rule.low is not None or one.rule.above is not None
    assert low or not numbers, f'{name}.{one.name} has no least value'
    assert kinds(one) <= {
        bool, int, float, str, dict, type(None), *numbers, tuple[dict, ...],
        tuple[str, ...], tuple[Any, ...]}, (
            f"the type of {name}.{one.name} is not checked")
    if one.default is not config_lib.MISSING:
      assert one.parse(one.default, one.name) == one.default


@pytest.mark.parametrize('name', SPECS)
def test_what_makes_no_sense_is_refused_with_the_name_of_the_field(name):
  for one in config_lib.schema(*SPECS[name]).values():
    if one.section or one.rule.internal or tuple[Any, ...] in kinds(one):
      continue
    for value in BAD:
      sensible = (
          value is None and type(None) in kinds(one)
          or value is True and bool in kinds(one)
          or value == 0.01 and float in kinds(one) and one.rule.holds(value)
          or value == '3' and str in kinds(one) and not one.rule.choices
          or value == {'a': 1} and dict in kinds(one)
          or value == -1 and (one.rule.low or 0) < -1
          or value == [3] and (tuple[int, ...] in kinds(one) or tuple[float, ...]
                               in kinds(one)) and one.rule.holds(3))
      if not sensible:
        with pytest.raises(errors.UserError, match=rf'config\.x\.{one.name} is '):
          one.parse(value, f'config.x.{one.name}')


def target_of(name):
  if name in STUDIES:
    return stages.StudyConfig
  module = EVALUATIONS.get(name, pretrain)
  return finetune.Config if module is linear_probe else module.Config


@pytest.mark.parametrize('name', NAMES)
def test_every_field_can_be_set_by_a_flag_in_every_config(name):
  target, config = target_of(name), load(name)[1]
  found = dict(config_lib.leaves(target, config))
  assert len(found) > 30 or name in STUDIES
  for path, one in found.items():
    value = accepted_by(one)
    flag = config_file.ConfigFlag(target, f'configs/{name}.py')
    flag.take(['binary', f'--config.{path}={value}'])
    set_to = functools.reduce(dict.__getitem__, path.split('.'), flag.values())
    assert one.parse(set_to, path) == one.parse(value, path), path


def accepted_by(one):
  """Returns a value of the field, other than the default if possible."""
  for value in (*one.rule.choices, 3, 0.5, False, 'x', (3, 4), (0.5, 0.7), {'a': 1},
                one.default):
    with contextlib.suppress(errors.UserError):
      one.parse(value, one.name)
      return value
  raise AssertionError(one)


def test_augmentations_are_all_pairs():
  config = load('studies/augmentation_pairs')[1]
  cells = [tuple(cell) for cell in config['heatmap']['cells'].values()]
  assert len(config['methods']) == len(set(cells)) == 28
  assert all(0 <= i <= j < len(config['heatmap']['axes']) == 7 for i, j in cells)
  ops = lambda name: config['methods'][name]['augment']['ops']
  assert ops('crop') == ['crop', 'flip']
  assert ops('crop_noise') == ['crop', 'flip', 'noise']
  assert ops('blur_sobel') == ['blur', 'sobel']


def test_both_protocols_of_the_study_of_compression_have_one_budget():
  config = load('studies/compression_cifar10')[1]
  epochs = lambda name: config['methods'][name]['train']['epochs']
  optimizer = lambda name: config['methods'][name]['optim']
  for network in ('resnet50', 'resnet50x2'):
    before = config['methods'][network]
    assert before['compression']['sparsity'] == 0
    assert before['compression']['bits'] is None
    for percent in (70, 90, 95, 99):
      name = f'{network}_prune{percent}'
      tuned = config['evaluations'][f'prune{percent}']
      assert config['methods'][name]['compression']['sparsity'] == percent / 100
      assert tuned['compression']['sparsity'] == percent / 100
      assert {network, name} <= set(tuned['methods'])
      assert config['methods'][name]['compressed_from'] == before['compressed_from']
      assert epochs(name) == epochs(network) and optimizer(name) == optimizer(network)
  tuned = config['evaluations']['prune99']
  assert tuned['optim']['schedule'] == before['optim']['schedule'] == 'linear'
  # The fewest steps after the last update of the masks: 1 % of 50,000 labels.
  steps = 500 // tuned['feed']['batch_size'] * tuned['train']['epochs']
  assert 0.9**(steps * (1 - tuned['compression']['end'])) < 0.001


@pytest.mark.parametrize('name', ['rotnet_cifar10', 'simclr_cifar10', 'byol_cifar10',
                                  'simsiam_cifar10', 'barlow_twins_cifar10',
                                  'vicreg_cifar10', 'moco_v2_cifar10',
                                  'moco_v3_cifar10', 'nnclr_cifar10',
                                  'supcon_cifar10', 'swav_cifar10', 'lejepa_cifar10'])
def test_pretraining_runs_once_tiny(name, tmp_path):
  assert pretrain.run(shrunk(load(name)[1]), tmp_path)['steps'] == 2


def test_a_study_runs_once_tiny(tmp_path, monkeypatch):
  monkeypatch.setattr(report.theme, 'render', lambda *args: b'')  # most of the time
  config = load('studies/quickstart')[1]
  config['seeds'] = config['seeds'][:1]
  config['methods'] = {k: shrunk({**v, 'seed': 0})
                       for k, v in config['methods'].items()}
  config['evaluations'] = {'knn': config['evaluations']['knn']}
  config['pictures'] = {**config['pictures'], 'images': 8, 'bank': 16}
  page = run.run(config, tmp_path)
  results = [json.loads(p.read_text()) for p in tmp_path.glob('*/*/knn/result.json')]
  assert len(results) == len(config['methods']) and page.exists()


# RotNet's tables of (last epoch, rate).
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
  _, schedule = optim.build(optim.Optim(**config['optim']), batch_size=128,
                            num_examples=1280, total_steps=10 * ends[-1])
  for epoch in range(ends[-1]):
    rate = next(r for e, r in zip(ends, (0.1, 0.02, 0.004, 0.0008), strict=True)
                if e > epoch)
    for step in (10 * epoch, 10 * epoch + 9):
      np.testing.assert_allclose(schedule(step), rate, rtol=1e-5)
