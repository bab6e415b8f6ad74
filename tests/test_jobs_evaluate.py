"""Tests the evaluation of an encoder: its data, its folder and its output."""

import json
import shutil

import numpy as np
import pytest
import stub_encoder
import tiny
from PIL import Image

from ssl_jax import errors
from ssl_jax.jobs import evaluate


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
  with stub_encoder.registered():
    yield tiny.pretrained(tmp_path_factory.mktemp('runs') / 'run',
                          model={'name': 'stub'}, train={'epochs': 0})


def config(**data):
  return {'protocol': {'name': 'nn1'}, 'features': {'batch_size': 64}, 'data': data}


def test_classes_are_those_of_the_data_that_is_evaluated(pretrained, tmp_path):
  result = evaluate.run(config(name='digits'), pretrained, tmp_path)  # it saw 4 shapes
  assert result['class_names'] == [str(i) for i in range(10)]
  assert len(result['test']['confusion']) == len(result['test']['per_class']) == 10
  assert result['test']['n'] == 359


def test_protocols_that_share_features_share_class_names(pretrained, tmp_path):
  extracted = {}
  for folder in ('a', 'b'):
    result = evaluate.run(config(num_classes=3), pretrained, tmp_path / folder,
                          extracted)
    assert len(result['class_names']) == 3
  assert len(extracted) == 1


def test_preprocessing_is_the_encoders_unless_said(tmp_path):
  with stub_encoder.registered():
    run = tiny.pretrained(tmp_path / 'run', model={'name': 'stub'}, train={'epochs': 0},
                          augment={'recipe': 'crop_flip', 'size': 6})

    def features(**fields):
      extracted = {}
      evaluate.run({**config(), **fields}, run, tmp_path / str(fields), extracted)
      return next(iter(extracted.values())).test.features

    plain = features()
    # Up to 32 pixels nothing is cut off.
    np.testing.assert_array_equal(features(preprocess={'proportion': 1.0}), plain)
    assert np.abs(features(preprocess={'proportion': 0.5}) - plain).max() > 1e-3
    # Views are always 6 x 6, so images of another size are accepted.
    assert features(data={'image_size': 12}).shape == plain.shape
    with pytest.raises(errors.UserError, match='set config.data.channels=3'):
      features(data={'channels': 1})


def test_images_of_another_size_need_an_encoder_that_resizes(pretrained, tmp_path):
  with pytest.raises(errors.UserError, match='set config.data.image_size=8'):
    evaluate.run(config(image_size=12), pretrained, tmp_path)


def test_one_label_of_each_image_is_needed(pretrained, tmp_path):
  for split in ('train', 'test'):
    (tmp_path / 'images' / split).mkdir(parents=True)
    Image.new('RGB', (8, 8)).save(tmp_path / 'images' / split / 'a.png')
  with pytest.raises(errors.UserError, match='no labels, or several .* VOC 2007'):
    evaluate.run(config(name=f'folder:{tmp_path}/images', validation_fraction=0),
                 pretrained, tmp_path / 'w')


def test_a_result_belongs_to_the_encoder_that_was_named(pretrained, tmp_path):
  with stub_encoder.registered():
    other = tiny.pretrained(tmp_path / 'run', model={'name': 'stub'}, seed=1,
                            train={'epochs': 0})
    shared, own = tmp_path / 'shared', tmp_path / 'own'
    evaluate.run(config(), pretrained, shared)
    evaluate.run(config(), other, shared)
    alone = evaluate.run(config(), other, own)
  first, second = (json.loads((folder / 'result.json').read_text())
                   for folder in (shared, own))
  assert first['config']['encoder'] == second['config']['encoder']
  assert first['config']['encoder']['path'] == f'{other}/checkpoints'
  assert first['result']['test'] == alone['test']
  assert len(list(shared.glob('result_step0_*.json'))) == 1


def test_a_finished_evaluation_needs_no_encoder_any_more(pretrained, tmp_path, caplog):
  caplog.set_level('INFO')
  run = tmp_path / 'run'
  shutil.copytree(pretrained, run)
  result = evaluate.run(config(), run, tmp_path / 'a')
  shutil.rmtree(run / 'checkpoints')
  assert evaluate.run(config(), run, tmp_path / 'a') == result
  assert 'a is finished (step 0, ' in caplog.text
  assert 'run has no encoder now' in caplog.text
  with pytest.raises(errors.UserError, match='holds no checkpoint'):
    evaluate.run(config(), run, tmp_path / 'b')


def test_other_settings_go_to_another_folder_or_are_refused(
    pretrained, tmp_path, caplog):
  caplog.set_level('INFO')
  run = tmp_path / 'run'
  shutil.copytree(pretrained, run)
  other = config(num_classes=3)
  folders = []
  for fields in (config(), other, config(), other):
    folders.append(evaluate.default_workdir(fields, run))
    evaluate.run(fields, run, folders[-1])
  assert folders[0] == folders[2] == run / 'evaluations' / 'nn1'
  assert folders[1] == folders[3] and folders[1].name.startswith('nn1_')
  said = f"(data.num_classes: 'absent' -> 3); this one is written to {folders[1]}"
  assert said in caplog.text
  assert caplog.text.count('nothing was done') == 2
  with pytest.raises(errors.UserError, match='num_classes.*choose another --workdir'):
    evaluate.run(other, run, folders[0])


@pytest.fixture
def photos(tmp_path):
  """Makes a folder of 11 unlabelled images, one of which does not decode."""
  folder = tmp_path / 'photos'
  folder.mkdir()
  for i in range(10):
    Image.new('RGB', (8, 8), (20 * i, 0, 0)).save(folder / f'{i}.png')
  (folder / '3 broken.png').write_bytes(b'no image')
  return {'name': f'folder:{folder}', 'image_size': 8}


def test_features_of_unlabelled_images_are_written_with_their_names(
    pretrained, photos, tmp_path):
  path = tmp_path / 'features.npz'
  lines = evaluate.write_features(config(**photos), pretrained, path)
  assert lines == [
      f'{path}: train_features (10, 6), train_labels (10,)',
      f'{path}: train lacks the images that do not decode (1): 3 broken.png']
  with np.load(path) as got:
    assert sorted(got) == sorted(
        ['train_features', 'train_labels', 'train_file_names', 'train_bad_images',
         'class_names', 'step', 'encoder'])
    assert got['train_file_names'].tolist() == [f'{i}.png' for i in range(10)]
    assert got['train_bad_images'].tolist() == ['3 broken.png']
    assert (got['train_labels'] == -1).all() and got['class_names'].size == 0
    assert got['step'] == 0 and str(got['encoder']) == f'{pretrained}/checkpoints'
    features = got['train_features']
  (tmp_path / 'photos' / '0.png').unlink()  # all rows move up by one
  evaluate.write_features(config(**photos), pretrained, path)
  with np.load(path) as got:
    np.testing.assert_allclose(got['train_features'], features[1:], rtol=1e-5)
    assert got['train_file_names'][0] == '1.png'


def test_features_of_images_without_names(pretrained, tmp_path):
  evaluate.write_features(config(), pretrained, tmp_path / 'f.npz')
  with np.load(tmp_path / 'f.npz') as got:
    assert got['class_names'].size == 4
    assert {name for name in got if '_' in name} == {'class_names'} | {
        f'{split}_{what}' for split in ('train', 'validation', 'test')
        for what in ('features', 'labels')}


def test_images_without_labels_are_not_measured_but_may_be_written(
    pretrained, photos, tmp_path):
  with pytest.raises(errors.UserError, match='no labels.*--output=features.npz'):
    evaluate.run(config(**photos), pretrained, tmp_path / 'w')
  assert not list((tmp_path / 'w').iterdir())


@pytest.mark.parametrize('classes, shown', [(5, False), (6, True)])
def test_top5_is_shown_of_more_than_five_classes(classes, shown):
  split = {'top1': 0.5, 'top5': 1., 'mean_per_class': 0.25, 'n': 8,
           'per_class': [0.5] * classes}
  text = evaluate.show({'protocol': 'kNN', 'chosen': {}, 'train': None,
                        'validation': None, 'test': split})
  assert text.splitlines()[0] == 'kNN'
  assert ('top-5 100.00%' in text) == shown and '50.00%' in text and '25.00%' in text


def test_what_was_chosen_is_shown():
  text = evaluate.show({
      'protocol': 'linear probe', 'chosen': {'learning_rate': 0.30000001, 'steps': 7},
      **dict.fromkeys(('train', 'validation', 'test'))})
  assert text == 'linear probe; chosen: learning_rate 0.3, steps 7'


def test_images_without_a_label_are_left_out_and_counted(pretrained, tmp_path, caplog):
  rows = ['path,label']
  for i in range(40):
    rows.append(f'{i}.png,{"" if i < 20 else "ab"[i % 2]}')
    Image.new('RGB', (8, 8), (6 * i,) * 3).save(tmp_path / f'{i}.png')
  (tmp_path / 'labels.csv').write_text('\n'.join(rows))
  name = f'files:{tmp_path}/labels.csv'
  with caplog.at_level('INFO'):
    result = evaluate.run(config(name=name, validation_fraction=0.25), pretrained,
                          tmp_path / 'run')
  assert result['class_names'] == ['a', 'b']
  # 20 of 40 have a label: 4 are test; a quarter of 16, and of the 20 others, is held
  # out for validation.
  assert {s: result[s]['n'] for s in ('train', 'validation', 'test')} == {
      'train': 12, 'validation': 4, 'test': 4}
  assert (f'{name}/train: 15 of 27 images have no label, so classifiers leave them out'
          in caplog.messages)
