"""Tests the log line about an image folder: its numbers and its grammar."""

import collections
import logging

import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import file_tree, notices, scan_report


def listing(*labels, classes=('cat', 'dog', 'emu')):
  return scan_report.FileList(tuple(map(str, range(len(labels)))),
                             np.array(labels, np.int32), classes)


def line(caplog, listings, **found):
  notices.log_once.cache_clear()
  with caplog.at_level(logging.INFO):
    scan_report.ScanReport('mine', **found).log(listings)
  record, = caplog.records
  return record.levelname, record.getMessage()


def test_nothing_left_out_is_information(caplog):
  found = {'train': listing(0, 1, 2, 0), 'test': listing(0, 1, 2)}
  assert line(caplog, found) == (
      'INFO', 'folder:mine: 4 training and 3 test images of 3 classes')


def test_three_splits_missing_classes_and_cruft_are_a_warning(caplog):
  found = {'train': listing(0, 1, 2), 'validation': listing(0, 1, 2),
           'test': listing(1)}
  counts = collections.Counter({'file ending in .txt': 3, 'link to nowhere (x)': 1})
  assert line(caplog, found, left_out=counts,
              folders=['folder __MACOSX (no images)']) == (
      'WARNING', 'folder:mine: 3 training, 3 validation and 1 test images of 3 '
      'classes; no test images of cat and emu; left out: 3 files ending in .txt, '
      '1 link to nowhere (x), folder __MACOSX (no images)')


def test_unlabelled_and_single(caplog):
  assert line(caplog, {'train': listing(-1, classes=())})[1] == (
      'folder:mine: 1 training image without labels')


def test_classes_that_differ_only_in_case(caplog):
  level, text = line(caplog, {'train': listing(0, 1, 2, classes=('Cat', 'cat', 'x'))})
  assert level == 'WARNING'
  assert 'the classes Cat and cat differ only in the case of letters' in text


def test_long_lists_of_names_are_cut():
  assert scan_report.listed(list('abc')) == 'a, b and c'
  assert scan_report.listed(list('abcdef')) == 'a, b, c and 3 more'


def test_a_file_is_listed_once_in_a_place_and_never_in_two():
  report = scan_report.ScanReport('mine')
  files = [file_tree.File(path, real) for path, real in (
      ('cat/0.png', '/0.png'), ('cat/1.png', '/1.png'), ('cat/2.png', '/0.png'))]
  assert report.once(files, 'class cat') == ['cat/0.png', 'cat/1.png']
  assert report.left_out == {'link to an image of the same class': 1}
  with pytest.raises(errors.UserError, match='cat/1.png and dog/9.png are the same '
                     'file, in class cat and in class dog; remove'):
    report.once([file_tree.File('dog/9.png', '/1.png')], 'class dog')
