"""Tests label subsets and validation splits by counting."""

import logging

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import notices, subsets

LABELS = np.array([2, 0, 1, 1, 0, 2, 2, 1, 0, 0, 1, 2] * 10, np.int32)  # 40 each


def counts(indices):
  return np.bincount(LABELS[indices], minlength=3).tolist()


def assert_sorted_and_unique(indices):
  assert (np.diff(indices) > 0).all()


@pytest.mark.parametrize('fraction,each', [(0.1, 4), (0.5, 20), (1, 40)])
def test_by_fraction_is_balanced(fraction, each):
  chosen = subsets.by_fraction(LABELS, fraction, seed=1)
  assert_sorted_and_unique(chosen)
  assert counts(chosen) == [each] * 3


def test_by_fraction_keeps_the_proportions_of_unequal_classes():
  labels = np.repeat([0, 1], [100, 20])
  chosen = subsets.by_fraction(labels, 0.1)
  assert np.bincount(labels[chosen]).tolist() == [10, 2]


@pytest.mark.parametrize('small,large', [
    (subsets.by_fraction(LABELS, 0.1, 5), subsets.by_fraction(LABELS, 0.5, 5)),
    (subsets.per_class(LABELS, 2, 5), subsets.per_class(LABELS, 9, 5))])
def test_subsets_of_one_seed_are_nested(small, large):
  assert set(small) < set(large)


def test_seeds_differ():
  draws = {tuple(subsets.per_class(LABELS, 5, seed)) for seed in range(5)}
  assert len(draws) == 5
  assert tuple(subsets.per_class(LABELS, 5, 0)) in draws


def test_first_k_is_the_first_in_file_order():
  # 0 is at 1, 4, 8, ...; 1 at 2, 3, 7, ...; 2 at 0, 5, 6, ...
  np.testing.assert_array_equal(subsets.first_k(LABELS, 2), [0, 1, 2, 3, 4, 5])


def test_unlabelled_examples_are_never_chosen():
  labels = np.where(np.arange(120) % 2, LABELS, -1)
  for chosen in (subsets.by_fraction(labels, 1), subsets.first_k(labels, 3)):
    assert (labels[chosen] >= 0).all()


def test_validation_is_disjoint_complete_and_balanced():
  train, validation = subsets.split_validation(LABELS, 0.1, seed=2)
  assert sorted([*train, *validation]) == list(range(120))
  assert counts(validation) == [4] * 3 and counts(train) == [36] * 3


def test_validation_takes_and_leaves_at_least_one():
  labels = np.array([0, 0, 1, 1])
  for fraction in (0.01, 0.99):
    train, validation = subsets.split_validation(labels, fraction)
    assert sorted(labels[train]) == sorted(labels[validation]) == [0, 1]


def test_the_only_example_of_a_class_stays_in_train(caplog):
  labels = np.array([0, 1, 1, 2, 2, 2, 3])
  notices.log_once.cache_clear()
  with caplog.at_level(logging.WARNING):
    for _ in range(2):
      train, validation = subsets.split_validation(
          labels, 0.5, class_names=('ant', 'bee', 'cow', 'dog'), name='farm/train')
  assert sorted([*train, *validation]) == list(range(7))
  assert {0, 6} <= set(train) and set(labels[validation]) == {1, 2}
  assert caplog.messages == ["farm/train: no validation image of class 'ant', 'dog', "
                             'whose only image stays in train']


@pytest.mark.parametrize('rule, sentence', [
    ({'fraction': 0.2}, "none of the 2 images of class 'rare'; use at least 0.5"),
    ({'per_class': 3}, "per_class is 3, but class 'rare' has 2 images; .* 1 to 2"),
    ({'first_k': 3}, "first_k is 3, but class 'rare' has 2 images")])
def test_classes_are_called_by_their_names(rule, sentence):
  labels = np.repeat([0, 1], [9, 2])
  with pytest.raises(errors.UserError, match=f'config.data.label_subset.*{sentence}'):
    subsets.select(labels, rule, class_names=('common', 'rare'))


def test_validation_of_unlabelled_data():
  train, validation = subsets.split_validation(np.full(50, -1), 0.2)
  assert len(validation) == 10 and len(train) == 40


@pytest.mark.parametrize('rule,expected', [
    ({'fraction': 0.1}, subsets.by_fraction(LABELS, 0.1, 0)),
    ({'per_class': 3, 'seed': 4}, subsets.per_class(LABELS, 3, 4)),
    ({'first_k': 3}, subsets.first_k(LABELS, 3))])
def test_choose(rule, expected):
  np.testing.assert_array_equal(subsets.select(LABELS, rule), expected)


def test_repeats_go_through_the_subset_until_an_epoch_is_as_long_as_without():
  once = subsets.select(LABELS, {'per_class': 7, 'seed': 2})
  again = subsets.select(LABELS, {'per_class': 7, 'seed': 2, 'repeat': True})
  assert len(once) == 21 and len(again) == len(LABELS) == 120
  for i in range(120):
    assert again[i] == once[i % 21]
  np.testing.assert_array_equal(
      subsets.select(LABELS, {'per_class': 7, 'seed': 2, 'repeat': False}), once)


def test_a_list_of_files_names_the_subset(tmp_path):
  names = ['n1_10.JPEG', 'n1_2.JPEG', 'n2_7.JPEG', 'n2_1.JPEG', 'n3_3.JPEG']
  path = tmp_path / '1percent.txt'
  path.write_text('n3_3.JPEG\r\nn1_2.JPEG\n\nn2_7.JPEG \nn1_2.JPEG\n')
  labels = np.array([0, 0, 1, 1, 2], np.int32)
  rule = {'file_list': str(path)}
  assert subsets.select(labels, rule, names).tolist() == [1, 2, 4]
  assert subsets.select(labels, {**rule, 'repeat': True}, names).tolist() == [
      1, 2, 4, 1, 2]


@pytest.mark.parametrize('text, names, sentence', [
    ('a\nb\nc', ['b', 'd'], "2 of the 3 file names in .*for example 'a'; "
     '.*validation_fraction=0'),
    ('a/b.jpg', ['b.jpg'], "for example 'a/b.jpg'"),
    ('b', ['b', 'a', 'b'], 'b, which .* lists, is the name of several images'),
    (' \n', ['b'], 'is empty; it should have one file name a line'),
    (b'\xff\xfe', ['b'], r'cannot be read \(it is not text\)'),
    (None, ['b'], r'cannot be read \(No such file or directory\); give the path')])
def test_mistakes_in_a_list_of_files_are_reported(tmp_path, text, names, sentence):
  path = tmp_path / 'list.txt'
  if text is not None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(errors.UserError, match=sentence) as e:
    subsets.by_file_list(names, str(path))
  assert str(path) in str(e.value) and '\n' not in str(e.value)


def test_a_list_that_is_not_there_is_reported_before_data_are_read():
  for tell, path in ((subsets.check, '/no/such'),
                     (lambda rule: subsets.select(LABELS, rule), None)):
    with pytest.raises(errors.UserError, match=f'file_list is .*{path}.*No such file'):
      tell({'file_list': path})


@pytest.mark.parametrize('call,sentence', [
    (lambda: subsets.by_fraction(LABELS, 0.01), 'none of the 40 images of class 0'),
    (lambda: subsets.by_fraction(LABELS, 1.5),
     'config.data.label_subset.fraction is 1.5'),
    (lambda: subsets.per_class(LABELS, 41),
     'label_subset.per_class is 41, but class 0'),
    (lambda: subsets.first_k(LABELS, 0), 'label_subset.first_k is 0'),
    (lambda: subsets.first_k(np.full(3, -1), 1), 'no image of the data set'),
    (lambda: subsets.split_validation(LABELS, 1.0), 'validation_fraction is 1.0'),
    (lambda: subsets.split_validation(np.array([0, 1, 2]), 0.5),
     'one image in every class.* config.data.validation_fraction=0'),
    (lambda: subsets.select(LABELS, {'fractoin': 0.1}), "did you mean 'fraction'"),
    (lambda: subsets.select(LABELS, {'first_k': 1, 'sead': 1}), "did you mean 'seed'"),
    (lambda: subsets.select(LABELS, {}), 'exactly one of'),
    (lambda: subsets.select(LABELS, {'first_k': 1, 'per_class': 1}), 'exactly one of'),
    (lambda: subsets.select(LABELS, {'first_k': 1, 'seed': 1}), 'no effect'),
    (lambda: subsets.select(LABELS, {'file_list': 'x', 'seed': 1}),
     'no effect with file_list'),
])
def test_mistakes_are_reported(call, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    call()
