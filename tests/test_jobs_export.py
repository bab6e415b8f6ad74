"""Tests exported files: NumPy computes our features and logits from a file alone."""

import json

import numpy as np
import numpy_torchvision
import pytest
import safetensors
import stub_encoder
import tiny
import tiny_network

import ssl_jax
from ssl_jax import errors
from ssl_jax.jobs import export, finetune
from ssl_jax.train import encoder as encoder_lib

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
AUGMENT = {'recipe': 'crop_flip', 'mean': [0.5, 0.4, 0.3], 'std': [0.2, 0.3, 0.4]}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return tiny.pretrained(tmp_path_factory.mktemp('runs') / 'a', augment=AUGMENT)


def exported(run, tmp_path):
  path = tmp_path / 'x.safetensors'
  facts = export.run(run, path)
  with safetensors.safe_open(path, 'np') as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}
    metadata = file.metadata()
  assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [path.name]
  values = sum(x.size for x in tensors.values())
  assert facts.content == f'{len(tensors)} arrays, {values:,} values'
  return tensors, metadata, export.show(facts, path)


def normalised(metadata):
  mean, std = (json.loads(metadata[name]) for name in ('mean', 'std'))
  return (IMAGES / 255 - mean) / std


def test_features_by_numpy_from_the_file_equal_ours(run, tmp_path):
  tensors, metadata, text = exported(run, tmp_path)
  assert abs(tensors['layer3.0.bn2.running_mean']).max() > 0  # it was trained
  want = numpy_torchvision.features(normalised(metadata), tensors)
  got = ssl_jax.load(run).embed(IMAGES)
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
  assert 'Not in the file: projector' in text and 'which has no class' in text


def test_metadata_say_how_to_use_the_file(run, tmp_path):
  _, metadata, _ = exported(run, tmp_path)
  assert metadata['format'] == 'pt' and metadata['endpoint'] == 'pooled'
  assert json.loads(metadata['config']) == ssl_jax.load(run).config
  assert json.loads(metadata['size']) == [8, 8] and json.loads(metadata['crop']) == 1
  assert json.loads(metadata['mean']) == AUGMENT['mean'] and metadata['commit']
  assert 'class_names' not in metadata


def test_a_fine_tuned_classifier_becomes_fc(run, tmp_path):
  small = tiny.config()
  tuned = tmp_path / 'tuned'
  finetune.run({'seed': 0, 'features': {'batch_size': 16},
                'augment': {'recipe': 'none'}, 'data': {'num_classes': 3},
                'train': {'epochs': 1},
                **{k: small[k] for k in ('feed', 'optim', 'log')}}, run, tuned)
  tensors, metadata, text = exported(tuned, tmp_path)
  assert tensors['fc.weight'].shape == (3, 16)
  assert len(json.loads(metadata['class_names'])) == 3
  want = numpy_torchvision.features(normalised(metadata), tensors)
  want = want @ tensors['fc.weight'].T + tensors['fc.bias']
  got = ssl_jax.load(tuned).embed(IMAGES, endpoint='logits')
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
  assert 'Not in the file: projector' in text


def test_what_cannot_be_exported_is_one_sentence(run, tmp_path):
  with pytest.raises(errors.UserError, match="ends in '.pt'; give a name"):
    export.run(run, tmp_path / 'x.pt')
  with stub_encoder.registered():
    other = tiny.pretrained(tmp_path / 'stub', model={'name': 'stub'},
                            train={'epochs': 0})
    with pytest.raises(errors.UserError, match='encoder/.* has no name in torchvision'):
      export.run(other, tmp_path / 'x.safetensors')
  assert not (tmp_path / 'x.safetensors').exists()


@pytest.mark.parametrize('name, output, options, message', [
    ('safetensors', 'x.jax', {}, "ends in .safetensors, or --format=jax"),
    ('jax', 'x.bin', {}, "ends in '.bin'; give a name that ends in .jax"),
    ('timm', 'x.safetensors', {}, 'is a file, but --format=timm writes a folder'),
    ('timm', 'x', {'endpoint': 'stage1'}, '--endpoint has no effect.*--format=onnx'),
    ('safetensors', 'x.safetensors', {'preprocess': False}, '--preprocess has no eff'),
    ('torch', 'x.pt', {}, "--format is 'torch'; accepted are jax, onnx")])
def test_options_that_do_not_suit_the_format(tmp_path, name, output, options, message):
  with pytest.raises(errors.UserError, match=message):
    export.run('nowhere', tmp_path / output, name, **options)


def test_a_folder_is_written_and_holds_nothing_else(tmp_path, monkeypatch):
  monkeypatch.setattr(encoder_lib, 'load', lambda *_: tiny_network.encoder(
      {'name': 'resnet18', 'stem': 'imagenet'}, size=32).trained)
  for _ in range(2):
    exported = export.run('a run', tmp_path / 'timm', 'timm')
    assert {p.name: p.read_bytes() for p in (tmp_path / 'timm').iterdir()} == (
        exported.files)
  assert f'local-dir:{tmp_path / "timm"}' in export.show(exported, tmp_path / 'timm')


@pytest.mark.parametrize('config, has', [
    ({'method': {'name': 'supervised'}}, True), ({'method': {'name': 'rotnet'}}, False),
    ({'pretrained': {}, 'head': {'name': 'linear'}, 'features': {'endpoint': 'pooled'}},
     True),
    ({'pretrained': {}, 'head': {'name': 'mlp'}, 'features': {'endpoint': 'pooled'}},
     False),
    ({'pretrained': {}, 'head': {'name': 'linear'}, 'features': {'endpoint': 'stage1'}},
     False)])
def test_only_linear_classifiers_of_classes_on_pooled_features_become_fc(config, has):
  assert export.has_linear_classifier(config) == has
