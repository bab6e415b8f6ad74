"""Tests that a file of weights is an encoder for all commands, without a run."""

import logging

import image_folders
import numpy as np
import pytest
import safetensors.numpy
import tiny

import ssl_jax
from ssl_jax import errors
from ssl_jax.jobs import compress, embed, evaluate, export, finetune, linear_probe
from ssl_jax.train import encoder as encoder_lib

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return tiny.pretrained(tmp_path_factory.mktemp('runs') / 'a', augment={
      'recipe': 'crop_flip', 'size': 6, 'mean': [0.5, 0.4, 0.3],
      'std': [0.25, 0.3, 0.2]})


@pytest.fixture(scope='module')
def file(run, tmp_path_factory):
  path = tmp_path_factory.mktemp('files') / 'a.safetensors'
  export.run(run, path)
  return path


@pytest.fixture(scope='module')
def foreign(file, tmp_path_factory):
  """The same arrays as another library would write them."""
  path = tmp_path_factory.mktemp('files') / 'b.safetensors'
  safetensors.numpy.save_file(
      {f'backbone.{n}': x for n, x in safetensors.numpy.load_file(file).items()}
      | {'fc.weight': np.ones((2, 16), np.float32)}, path)
  return path


def test_a_run_and_its_exported_file_embed_equally(run, file):
  a, b = ssl_jax.load(run), ssl_jax.load(file)
  np.testing.assert_array_equal(a.preprocess(IMAGES), b.preprocess(IMAGES))
  np.testing.assert_array_equal(a.embed(IMAGES), b.embed(IMAGES))
  assert b.trained.image_shape == (8, 8, 3)


def test_a_foreign_file_has_the_normalisation_of_torchvision(run, foreign, caplog):
  with caplog.at_level(logging.INFO):
    encoder = ssl_jax.load(foreign)
  assert 'arrays that are not used: fc.weight' in caplog.text
  assert 'does not hold the normalisation of its images' in caplog.text
  images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
  want = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
  np.testing.assert_allclose(encoder.preprocess(images), want, atol=1e-5)


def test_the_identity_follows_the_arrays(file, foreign, tmp_path):
  a = encoder_lib.identify(file)
  assert a['step'] == 0 and a['path'] == str(file) and len(a['digest']) == 16
  assert encoder_lib.identify(foreign)['digest'] == a['digest']
  arrays = safetensors.numpy.load_file(file)
  arrays['bn1.bias'] += 1
  safetensors.numpy.save_file(arrays, tmp_path / 'c.safetensors')
  assert encoder_lib.identify(tmp_path / 'c.safetensors')['digest'] != a['digest']


def test_evaluations_and_probes_accept_a_file(run, file, tmp_path):
  config = {'protocol': {'name': 'knn', 'k': 3}, 'data': {'validation_fraction': 0.2},
            'features': {'endpoint': 'pooled'}}
  a = evaluate.run(config, run, tmp_path / 'a')
  b = evaluate.run(config, file, evaluate.default_workdir(config, file))
  assert a['test'] == b['test']
  assert (file.parent / 'a.safetensors.evaluations' / 'knn' / 'result.json').exists()
  probe = {'seed': 0, 'data': {'validation_fraction': 0.2}, 'feed': {'batch_size': 16},
           'train': {'epochs': 0.5}, 'features': {'endpoint': 'pooled'},
           'augment': {'recipe': 'none'}, 'log': {'tensorboard': False},
           'optim': {'name': 'sgd', 'learning_rate': 0.1}}
  result = linear_probe.run(probe, file, tmp_path / 'c')
  assert result['step'] == 0 and result['test']['n'] == a['test']['n']
  tuned = finetune.run({**probe, 'freeze_until': 'stage3'}, file, tmp_path / 'd')
  assert tuned['test']['n'] == a['test']['n']


def test_the_data_of_a_foreign_file_are_named_by_the_user(foreign, tmp_path):
  output = tmp_path / 'x.npz'
  with pytest.raises(errors.UserError, match='set --config.data.name=cifar10 or .* is '
                     '--data=folder:photos'):
    embed.run(foreign, output)
  image_folders.write_images(tmp_path / 'photos', 'a', 'b', n=2)
  found = embed.run(foreign, output, data=f'folder:{tmp_path}/photos', batch_size=4)
  assert found.features.shape == (4, 16)


def test_what_is_no_encoder_is_one_sentence(file, foreign, tmp_path):
  path, arrays = tmp_path / 'x.safetensors', safetensors.numpy.load_file(file)
  safetensors.numpy.save_file({'cls_token': np.ones(3, np.float32)}, path)
  with pytest.raises(errors.UserError, match='holds no ResNet by the names of torchv'):
    ssl_jax.load(path)
  del arrays['layer2.0.bn1.bias']
  safetensors.numpy.save_file(arrays, path)
  with pytest.raises(errors.UserError, match='is not a whole resnet8; .* shapes: '
                     'encoder/stage2/block1/bn1/bias'):
    ssl_jax.load(path)
  with pytest.raises(errors.UserError, match='holds no checkpoint; .* file of weights'):
    ssl_jax.load(tmp_path / 'none.safetensors')
  config = {'compression': {'sparsity': 0.5}, 'encoder': {'path': str(foreign)}}
  with pytest.raises(errors.UserError, match='names no task to train on; start from it '
                     'by python -m ssl_jax.pretrain'):
    compress.resolve(config, ssl_jax.load(foreign).trained)
