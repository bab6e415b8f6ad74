"""The presets of RotNet: the learning rates of its authors' code, epoch by epoch."""

import importlib.util
import pathlib

import numpy as np
import pytest

from ssl_jax import config as config_lib
from ssl_jax import linear_probe, pretrain
from ssl_jax.train import optim

CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'


def load(name, *argument):
  spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return config_lib.plain(module.get_config(*argument))


# From that code's tables of (last epoch, rate).
@pytest.mark.parametrize('name, argument, ends', [
    ('rotnet_cifar10', (), (60, 120, 160, 200)),
    ('linear_probe', ('mlp',), (20, 40, 45, 100)),
    ('linear_probe', ('conv_block',), (35, 70, 85, 100))])
def test_learning_rate_of_every_epoch(name, argument, ends):
  config = load(name, *argument)
  assert config['feed']['batch_size'] == 128
  assert config['train']['epochs'] == ends[-1]
  _, schedule = optim.build(config['optim'], batch_size=128, num_examples=1280,
                            total_steps=10 * ends[-1])
  for epoch in range(ends[-1]):
    rate = next(r for e, r in zip(ends, (0.1, 0.02, 0.004, 0.0008), strict=True)
                if e > epoch)
    for step in (10 * epoch, 10 * epoch + 9):
      np.testing.assert_allclose(schedule(step), rate, rtol=1e-5)


def test_presets_are_accepted():
  pretrain.check(load('rotnet_cifar10'))
  for head in ('linear', 'mlp', 'conv_block'):
    config = load('linear_probe', head)
    linear_probe.check(config)
    assert config['head'] == {'name': head}
