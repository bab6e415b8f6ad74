"""Tests which config own images get: stem, batch, warm-up, and what a user gives."""

import logging

import image_folders
import pytest

from ssl_jax import errors, methods
from ssl_jax.jobs import defaults, pretrain

SYNTHETIC = {'num_examples': 400, 'image_size': 32}


def config_for(data='synthetic', side=32, examples=400, **fields):
  section = {'num_examples': examples, 'image_size': side}
  overrides = fields.pop('overrides', {})
  return defaults.config_for(data, overrides={'data': section, **overrides}, **fields)


@pytest.mark.parametrize('method', methods.METHODS)
@pytest.mark.parametrize('model', ['resnet18', 'resnet20', 'nin'])
def test_every_method_and_model_gets_a_config_that_is_accepted(method, model):
  made = config_for(method=method, model=model, epochs=30)
  spec = pretrain.parse(made)
  assert spec.train.epochs == 30 and spec.optim.warmup_epochs <= 3
  assert made['method']['name'] == method and made['model']['name'] == model
  assert made['data']['name'] == 'synthetic'


@pytest.mark.parametrize('side, stem', [(32, 'cifar'), (64, 'cifar'), (96, 'imagenet')])
def test_the_stem_goes_by_the_size_of_the_images(side, stem):
  assert config_for(side=side)['model'] == {'name': 'resnet18', 'stem': stem}
  assert 'stem' not in config_for(side=side, model='resnet20')['model']


@pytest.mark.parametrize('examples, batch', [
    (20, 8), (100, 16), (400, 64), (1100, 256), (100_000, 512)])
def test_an_epoch_has_several_steps_and_the_devices_share_a_batch(examples, batch):
  assert config_for(side=8, examples=examples)['feed']['batch_size'] == batch


@pytest.mark.parametrize('side, patch', [(32, 4), (96, 16)])
def test_a_vit_has_patches_and_the_optimizer_of_moco_v3(side, patch):
  made = config_for(side=side, model='vit_tiny', method='rotnet')
  assert made['model'] == {'name': 'vit_tiny', 'patch': patch}
  assert made['train']['online_endpoint'] == 'block6'
  optim = pretrain.parse(made).optim
  assert (optim.name, optim.learning_rate, optim.weight_decay) == ('adamw', 1.5e-4, 0.1)


def test_blur_and_normalisation_of_cifar_are_not_for_other_images():
  assert 'blur' in config_for(method='byol')['augment']
  assert 'blur' not in config_for(method='byol', side=96)['augment']
  assert 'mean' not in config_for(method='rotnet')['augment']


def test_what_the_user_gives_wins():
  made = config_for(overrides={'feed': {'batch_size': 24}, 'model': {'width': 0.5},
                               'optim': {'name': 'sgd'}})
  assert made['feed']['batch_size'] == 24 and made['optim']['name'] == 'sgd'
  assert made['model'] == {'name': 'resnet18', 'stem': 'cifar', 'width': 0.5}


def test_folders_have_a_size_and_the_log_states_the_choice(tmp_path, caplog):
  root = image_folders.write_images(tmp_path, '.', n=40)
  with caplog.at_level(logging.INFO):
    made = defaults.config_for(f'folder:{root}')
  assert made['data'] == {'name': f'folder:{root}', 'image_size': 96}
  assert ('Defaults for 40 images of 96 x 96 pixels: 8 images in a batch, a warm-up of '
          "10 epochs, model {'name': 'resnet18', 'stem': 'imagenet'}") in caplog.text
  assert defaults.config_for(f'folder:{root}', image_size=8)['data']['image_size'] == 8


@pytest.mark.parametrize('fields, words', [
    ({'method': 'dino'}, "method is 'dino'; accepted are barlow_twins, byol"),
    ({'model': 'resnet19'}, "model is 'resnet19'"),
    ({'data': 'folder:/no/such'}, '/no/such does not exist')])
def test_mistakes_are_one_sentence(fields, words):
  with pytest.raises(errors.UserError, match=words):
    defaults.config_for(**{'data': 'digits', **fields})
