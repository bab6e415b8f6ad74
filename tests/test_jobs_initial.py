"""Tests trainings that start from given weights: what is taken, listed and refused."""

import logging

import jax
import numpy as np
import pytest
import safetensors.numpy
import tiny
from flax import traverse_util

import ssl_jax
from ssl_jax import errors
from ssl_jax.jobs import export, pretrain


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """A trained run, so that its statistics are not those of a fresh network."""
  return tiny.pretrained(tmp_path_factory.mktemp('runs') / 'a')


@pytest.fixture(scope='module')
def file(run, tmp_path_factory):
  path = tmp_path_factory.mktemp('files') / 'a.safetensors'
  export.run(run, path)
  return path


def started(folder, init_from, method='simclr', epochs=0, **fields):
  config = {**tiny.config(method, epochs=epochs), 'seed': 1, **fields}
  config['model'] = {**tiny.MODEL, **fields.get('model', {}),
                     'init_from': str(init_from)}
  pretrain.run(config, folder)
  return arrays(folder)


def arrays(folder):
  return {'/'.join(path): np.asarray(x) for path, x in traverse_util.flatten_dict(
      ssl_jax.load(folder).trained.variables).items()}


def same(a, b, module):
  names = [name for name in b if name.split('/')[1] == module]
  assert names
  return all(np.array_equal(a[name], b[name]) for name in names)


def test_a_run_gives_all_modules_that_fit(run, tmp_path):
  before = arrays(run)
  assert abs(before['batch_stats/encoder/stem/bn1/mean']).max() > 0
  whole = started(tmp_path / 'b', run)
  assert same(whole, before, 'encoder') and same(whole, before, 'projector')
  other = started(tmp_path / 'c', run, projector={'layers': 1, 'dim': 8})
  assert same(other, before, 'encoder')
  assert other['params/projector/dense1/kernel'].shape == (16, 8)
  assert not np.array_equal(other['params/projector/dense1/kernel'],
                            before['params/projector/dense1/kernel'][:, :8])


def test_run_to_file_to_run_is_the_identity(run, file, tmp_path, caplog):
  with caplog.at_level(logging.INFO):
    after = started(tmp_path / 'b', file)
  assert same(after, arrays(run), 'encoder')
  assert not same(after, arrays(run), 'projector')
  assert 'with its weights: encoder; random modules: projector; ' in caplog.text
  assert 'not used: none' in caplog.text
  assert 'were trained on images' not in caplog.text
  again = tmp_path / 'b.safetensors'
  export.run(tmp_path / 'b', again)
  a, b = map(safetensors.numpy.load_file, (file, again))
  assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_the_target_network_of_byol_starts_from_the_weights_too(run, tmp_path):
  fields = tiny.config('byol')
  fields['model'] = {**tiny.MODEL, 'init_from': str(run)}
  spec = pretrain.parse(fields)
  made = pretrain.initial.started_from(
      pretrain.prepare(spec, fields, tmp_path, 'a'), fields)
  variables = made.warm_start(
      made.train_step.init(jax.random.key(5), (8, 8, 3))).variables
  want = arrays(run)['params/encoder/stem/conv1/kernel']
  for tree in (variables.params, variables.non_trainable['params']):
    np.testing.assert_array_equal(tree['encoder']['stem']['conv1']['kernel'], want)
  assert 'predictor' not in variables.non_trainable['params']


def test_a_run_trains_from_the_weights_and_resumes_without_them(
    run, file, tmp_path):
  copy = tmp_path / 'copy.safetensors'
  copy.write_bytes(file.read_bytes())
  after = started(tmp_path / 'b', copy, epochs=1)
  assert not same(after, arrays(run), 'encoder')
  copy.unlink()
  (tmp_path / 'b' / 'result.json').unlink()
  assert same(started(tmp_path / 'b', copy, epochs=1), after, 'encoder')


def foreign(file, path, change=lambda tensors: None):
  """Writes the arrays as torchvision would: with fc and counters, without metadata."""
  tensors = safetensors.numpy.load_file(file)
  tensors |= {name.replace('running_mean', 'num_batches_tracked'): np.int64(7)
              for name in tensors if name.endswith('running_mean')}
  tensors |= {'fc.weight': np.ones((5, 16), np.float32),
              'fc.bias': np.ones(5, np.float32)}
  change(tensors)
  safetensors.numpy.save_file({k: np.asarray(v) for k, v in tensors.items()}, path)
  return path


def test_a_file_of_torchvision_is_taken_and_its_classifier_is_listed(
    run, file, tmp_path, caplog):
  path = foreign(file, tmp_path / 'x.safetensors', lambda tensors: tensors.update(
      {'projector.0.weight': np.ones(3, np.float32)}))
  with caplog.at_level(logging.INFO):
    after = started(tmp_path / 'b', path)
  assert same(after, arrays(run), 'encoder')
  assert 'not used: fc.bias, fc.weight, projector.0.weight' in caplog.text
  assert 'were trained on images with mean (0.485' in caplog.text
  caplog.clear()
  with caplog.at_level(logging.INFO):
    started(tmp_path / 'c', path, augment={
        'recipe': 'crop_flip', 'mean': [0.485, 0.456, 0.406],
        'std': [0.229, 0.224, 0.225]})
  assert 'were trained on images' not in caplog.text


def test_a_classifier_of_the_same_classes_is_taken(file, tmp_path):
  def four(tensors):
    tensors['fc.weight'] = np.arange(64, dtype=np.float32).reshape(4, 16)
    tensors['fc.bias'] = np.arange(4, dtype=np.float32)
  path = foreign(file, tmp_path / 'x.safetensors', four)
  after = started(tmp_path / 'b', path, method='supervised')
  np.testing.assert_array_equal(after['params/head/dense/kernel'],
                                np.arange(64).reshape(4, 16).T)


MISTAKES = {
    'missing arrays': (
        lambda t: [t.pop(f'layer3.0.bn{i}.weight') for i in (1, 2)],
        'the weights lack layer3.0.bn1.weight, layer3.0.bn2.weight'),
    'other shapes': (
        lambda t: t.update({'conv1.weight': np.ones((4, 3, 7, 7), np.float32)}),
        'other shapes have conv1.weight'),
    'a deeper network': (
        lambda t: t.update({k.replace('.0.', '.1.'): v for k, v in list(t.items())
                            if k.startswith('layer')}),
        'the network lacks layer1.1.bn1.bias, .* and 25 more. Set the network of the '
        'weights by --config.model.name=resnet14 --config.model.width=0.25$'),
    'squeeze and excitation': (
        lambda t: t.update({'layer1.0.se.fc1.weight': np.ones(3, np.float32)}),
        'the network lacks layer1.0.se.fc1.weight'),
    'a transformer': (
        lambda t: [t.clear(), t.update({'cls_token': np.ones(3, np.float32)})],
        'the weights lack bn1.bias, .*Give the weights of a ResNet'),
}


@pytest.mark.parametrize('case', MISTAKES)
def test_another_architecture_is_one_sentence_that_names_arrays(file, tmp_path, case):
  change, words = MISTAKES[case]
  path = foreign(file, tmp_path / 'x.safetensors', change)
  with pytest.raises(errors.UserError, match=words):
    started(tmp_path / 'b', path)
  assert not (tmp_path / 'b' / 'config.json').exists()


def test_a_run_of_another_architecture_is_one_sentence(run, tmp_path):
  with pytest.raises(errors.UserError, match='by --config.model.name=resnet8 --con'):
    started(tmp_path / 'b', run, model={'width': 0.5})


def test_what_cannot_be_read_is_one_sentence(file, tmp_path):
  half = tmp_path / 'half.safetensors'
  half.write_bytes(file.read_bytes()[:500])
  for path, words in ((half, 'is not a whole .safetensors file'),
                      (tmp_path / 'none.safetensors', 'does not exist'),
                      (tmp_path / 'none.pth', 'does not exist'),
                      (tmp_path / 'none', 'init_from is .*none, which holds no check')):
    with pytest.raises(errors.UserError, match=words):
      started(tmp_path / 'b', path)
  with pytest.raises(errors.UserError, match='is not a whole .safetensors file'):
    ssl_jax.load(half)
  with pytest.raises(errors.UserError, match='config.model.init_from is 3; accepted'):
    pretrain.parse({**tiny.config(), 'model': {**tiny.MODEL, 'init_from': 3}})


VIT = {'name': 'vit_tiny', 'width': 1 / 24, 'heads': 2, 'depth': 1, 'patch': 4}


@pytest.fixture(scope='module')
def vit(tmp_path_factory):
  """A random ViT of 8 channels and 2 heads, and its exported file."""
  folder = tmp_path_factory.mktemp('vit')
  config = {**tiny.config(epochs=0), 'model': VIT}
  pretrain.run(config, folder / 'run')
  export.run(folder / 'run', folder / 'a.safetensors')
  return folder


def test_a_vit_goes_to_a_file_and_back(vit, tmp_path):
  after = started(tmp_path / 'b', vit / 'a.safetensors', model=VIT)
  assert same(after, arrays(vit / 'run'), 'encoder')
  encoder = ssl_jax.load(vit / 'a.safetensors')
  assert encoder.config['model'] == VIT
  assert same(arrays(vit / 'a.safetensors'), after, 'encoder')


@pytest.mark.parametrize('fields, words', [
    ({'model': {**VIT, 'heads': 1}}, 'config.model.heads is 1, .* has 2; set --conf'),
    ({'model': {**VIT, 'depth': 2}}, 'the weights lack .*block2.*model.patch=4'),
    ({'model': VIT, 'augment': {'recipe': 'crop_flip', 'size': 16}},
     'other shapes have .*pos.* --config.augment.size=8')])
@pytest.mark.parametrize('path', ['run', 'a.safetensors'])
def test_another_vit_is_one_sentence(vit, tmp_path, path, fields, words):
  with pytest.raises(errors.UserError, match=words.replace(
      'block2', 'block2' if path == 'run' else r'blocks\.1')):
    started(tmp_path / 'b', vit / path, **fields)
