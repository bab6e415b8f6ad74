"""Evaluating on another data set than the encoder was trained on."""

import pytest
import stub_encoder
import tiny

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


def test_a_label_rule_that_there_is_not_is_found_before_anything_is_loaded():
  with pytest.raises(errors.UserError, match="'per_clas'.*did you mean 'per_class'"):
    evaluate.check(config(labels={'per_clas': 2}))
