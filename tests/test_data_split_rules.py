"""Tests which split and class images belong to, by hand."""

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import split_rules


@pytest.mark.parametrize('path, split', [
    ('data/train-00000-of-00002.parquet', 'train'),
    ('x/imagenet-VAL_01.tar', 'validation'),
    ('test/0001.tar', 'test'), ('train/test-1.tar', 'test'), ('photos/0001.tar', ''),
    ('train-test.tar', ''), ('contest.tar', '')])
def test_the_split_of_a_path(path, split):
  assert split_rules.of_path(path) == split


def test_class_ids():
  ids, names = split_rules.class_ids(['dog', '', 'cat', '-1', 'dog'])
  assert ids.tolist() == [1, -1, 0, -1, 1] and names == ('cat', 'dog')
  ids, names = split_rules.class_ids(['10', '9', ''])
  assert ids.tolist() == [1, 0, -1] and names == ('9', '10')
  ids, names = split_rules.class_ids(['', ''])
  assert ids.tolist() == [-1, -1] and names == ()


def test_a_fifth_of_the_labelled_images_is_the_test_split():
  labels = np.array([0] * 10 + [-1] * 30 + [1] * 5 + [2], np.int32)
  found = split_rules.cut_test(labels)
  assert np.bincount(labels[found['test']]).tolist() == [2, 1]
  both = np.concatenate([found['train'], found['test']])
  assert sorted(both.tolist()) == list(range(46))
  again = split_rules.cut_test(labels)
  np.testing.assert_array_equal(found['test'], again['test'])
  for few in ([-1, -1], [0, 1, -1]):
    found = split_rules.cut_test(np.array(few))
    assert list(found) == ['train'] and len(found['train']) == len(few)


def test_given_splits_are_kept():
  labels = np.zeros(6, np.int32)
  found = split_rules.divide(['Train', 'val', 'train', 'testing', 'val', 'test'],
                             labels, 'x')
  assert {k: v.tolist() for k, v in found.items()} == {
      'train': [0, 2], 'validation': [1, 4], 'test': [3, 5]}
  found = split_rules.divide(['train', 'val'] * 3, labels, 'x')
  assert {k: v.tolist() for k, v in found.items()} == {
      'train': [0, 2, 4], 'test': [1, 3, 5]}
  assert set(split_rules.divide(['train'] * 6, labels, 'x')) == {'train', 'test'}


@pytest.mark.parametrize('given, sentence', [
    (['train', '', 'test'], r'image 1 is the first\); give all of them a split'),
    (['val', 'test', 'test'], 'the splits test and validation, but no split train')])
def test_incomplete_splits_are_refused(given, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    split_rules.divide(given, np.zeros(3, np.int32), 'x')
