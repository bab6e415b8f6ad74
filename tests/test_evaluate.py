"""Evaluating on another data set than the encoder was trained on."""

import numpy as np
import pytest
import stub_encoder
import tiny
from PIL import Image

from ssl_jax import errors, evaluate


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
  with stub_encoder.registered():
    yield tiny.pretrained(tmp_path_factory.mktemp('runs') / 'run',
                          model={'name': 'stub'}, train={'epochs': 0})


def config(**data):
  return {'protocol': {'name': 'nearest'}, 'features': {'batch_size': 64}, 'data': data}


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


@pytest.mark.parametrize('own, fields', [
    ({}, {'name': 'synthetic', 'num_classes': 4, 'image_size': 8}),
    ({'num_classes': 3, 'data_dir': None},
     {'name': 'synthetic', 'num_classes': 3, 'image_size': 8}),
    ({'name': 'digits', 'labels': {'per_class': 1}},
     {'name': 'digits', 'image_size': 8, 'labels': {'per_class': 1}}),
    ({'name': 'digits', 'image_size': 16}, {'name': 'digits', 'image_size': 16})])
def test_what_another_data_set_inherits(own, fields):
  theirs = {'name': 'synthetic', 'num_classes': 4, 'image_size': 8, 'data_dir': None,
            'labels': {'fraction': 0.1}, 'validation_fraction': 0.2}
  assert evaluate.inherit(theirs, own) == fields


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
    # Views are 6 x 6 whatever the images are, so images of another size will do.
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


def test_a_label_rule_that_there_is_not_is_found_before_anything_is_loaded():
  with pytest.raises(errors.UserError, match="labels.per_clas is.*mean 'per_class'"):
    evaluate.check(config(labels={'per_clas': 2}))
