"""Tests --config=file.py:preset and --config.x.y=value, with and without mistakes."""

import pytest

from ssl_jax import config_file, errors
from ssl_jax.jobs import evaluate, finetune, pretrain

SIMCLR = 'configs/simclr_cifar10.py'


@pytest.fixture(autouse=True)
def configs_import_each_other(monkeypatch):
  monkeypatch.syspath_prepend(str(config_file.ROOT))  # as cli.run does


def read(*arguments, target=pretrain.Config, default=SIMCLR):
  flag = config_file.ConfigFlag(target, default)
  assert flag.take(['binary', *arguments]) == ['binary']
  return flag.read()


def test_other_flags_stay():
  flag = config_file.ConfigFlag(pretrain.Config, SIMCLR)
  rest = flag.take(['b', '--workdir=x', '--config', 'y.py', '--config.seed', '-1',
                    '--configure=1', '--config.log.profile', '--noconfig.log.x', 'z',
                    '--', '--config.seed=3'])
  assert rest == ['b', '--workdir=x', '--configure=1', 'z', '--', '--config.seed=3']
  assert flag.file == 'y.py'
  assert flag.overrides == [(('seed',), '-1'), (('log', 'profile'), True),
                            (('log', 'x'), False)]


def test_fields_that_the_file_names():
  config = read(f'--config={SIMCLR}:resnet20', '--config.optim.learning_rate=1',
                '--config.train.epochs', '3', '--noconfig.train.online_probe',
                '--config.model.name=nin', '--config.seed=1', '--config.seed=2')
  assert config['optim']['learning_rate'] == 1 and config['train']['epochs'] == 3
  assert config['train']['online_probe'] is False
  assert config['model'] == {'name': 'nin', 'bn_groups': 1} and config['seed'] == 2


def test_fields_that_the_file_does_not_name():
  config = read(
      '--config.data.label_subset.fraction=0.1', '--config.data.data_dir=2026',
      '--config.augment.area=(0.2,1)', '--config.optim.clip_norm=1',
      '--config.log.tensorboard=false', '--config.train.online_pool=2',
      '--config.model.width=0.5')
  assert config['data'] == {'name': 'cifar10', 'label_subset': {'fraction': 0.1},
                            'data_dir': '2026'}
  assert config['augment']['area'] == [0.2, 1] and config['optim']['clip_norm'] == 1
  assert config['log']['tensorboard'] is False
  assert config['train']['online_pool'] == 2 and config['model']['width'] == 0.5


def test_none_and_whole_sections():
  config = read('--config.train.epochs=None', '--config.train.steps=7',
                "--config.data.label_subset={'per_class': 3}",
                '--config.freeze_until=None',
                target=finetune.Config, default='configs/finetune.py:last_stage')
  assert config['train']['steps'] == 7 and config['train']['epochs'] is None
  assert config['data']['label_subset'] == {'per_class': 3}
  assert config['freeze_until'] is None


def test_what_depends_on_another_field_follows_it(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text('from configs import evaluate\n'
                  'def get_config():\n  c = evaluate.get_config("linear")\n'
                  '  c.protocol.seed = c.get_ref("seed") + 1\n  return c\n')
  config = read('--config.seed=4', target=evaluate.Config, default=str(path))
  assert config['protocol']['seed'] == 5


def test_the_default_is_found_from_any_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert read()['data'] == {'name': 'cifar10'}


FILES = {
    'syntax': ('x = 1\ndef get_config(:', r'syntax.py line 2: invalid syntax'),
    'raises': ('def get_config():\n  return {}["a"]', r"raises.py line 2: KeyError"),
    'imports': ('import nosuch', "line 1: ModuleNotFoundError: .* 'nosuch'"),
    'says': ('def get_config(x="a"):\n  raise ValueError("no such x")',
             r'--config=.*says.py: no such x$'),
    'none': ('def get_config(): pass', r'get_config\(\) returns None'),
    'empty': ('', r'has no function get_config'),
    'strange': ('def get_config():\n  return {"seed": {1, 2}}',
                'cannot be written as JSON'),
}


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('override', [(), ('--config.data.name=digits',)])
def test_a_broken_file_is_one_sentence(tmp_path, name, override):
  path = tmp_path / f'{name}.py'
  path.write_text(FILES[name][0])
  with pytest.raises(errors.UserError, match=FILES[name][1]) as e:
    read(f'--config={path}', *override)
  assert '\n' not in str(e.value) and 'ValueError' not in str(e.value)


@pytest.mark.parametrize('arguments, sentence', [
    (['--config=configs/simclr_cifr10.py'], f"does not exist; did you mean '{SIMCLR}'"),
    (['--config=configs'], 'is a folder'),
    (['--config'], '--config has no value'),
    (['--config.'], 'names no field'),
    ([f'--config={SIMCLR}:resnet19'], "'resnet19' is not one of .* 'resnet18'"),
    (['--config=configs/rotnet_cifar10.py:x'], 'has no presets; leave out ":x"'),
    (['--config.seed.x=1'], 'config.seed is 0, which has no fields'),
    (['--config.train.epochs'], 'config.train.epochs is True; accepted is a number'),
    (['--config.trian.epochs=1'], "config.trian is not a field; did you mean 'train'"),
    (['--config.data.label_subset.fractoin=1'], "did you mean 'fraction'"),
])
def test_mistakes(arguments, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    read(*arguments)
