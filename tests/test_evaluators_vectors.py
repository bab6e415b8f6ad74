"""Tests files of vectors: every format gives back what was written."""

import csv
import json

import numpy as np
import pytest
from pyarrow import parquet

from ssl_jax import errors
from ssl_jax.evaluators import vectors

FEATURES = np.float32([[1 / 3, -2e-30], [5, 3.4e38], [0, 1 + 2**-23]])
NAMES = ['cat/a,b.png', 'ümlaut "x".png', '2']


def write(path):
  vectors.write(path, vectors.Vectors(
      FEATURES, NAMES, ['train', 'train', 'test'], np.int32([1, -1, 0]),
      ('cat', 'dog'), ['bad.png'], {'encoder': 'runs/a', 'step': 7}))
  assert [p.name for p in path.parent.iterdir()] == [path.name]  # no partial file
  return path


def test_npz(tmp_path):
  with np.load(write(tmp_path / 'z.npz')) as found:
    np.testing.assert_array_equal(found['features'], FEATURES)
    assert found['file_names'].tolist() == NAMES
    assert found['splits'].tolist() == ['train', 'train', 'test']
    assert found['labels'].tolist() == [1, -1, 0]
    assert found['class_names'].tolist() == ['cat', 'dog']
    assert found['bad_images'].tolist() == ['bad.png']
    assert (found['encoder'], found['step']) == ('runs/a', 7)


def test_csv_keeps_every_bit(tmp_path):
  with write(tmp_path / 'z.csv').open(newline='', encoding='utf-8') as f:
    header, *rows = csv.reader(f)
  assert header == ['file_name', 'split', 'label', 'f0', 'f1']
  assert [row[0] for row in rows] == NAMES
  assert [row[2] for row in rows] == ['dog', '', 'cat']
  np.testing.assert_array_equal(np.float32([row[3:] for row in rows]), FEATURES)


def test_parquet(tmp_path):
  table = parquet.read_table(write(tmp_path / 'z.parquet'))
  assert table['file_name'].to_pylist() == NAMES
  assert table['label'].to_pylist() == ['dog', None, 'cat']
  np.testing.assert_array_equal(np.float32(table['vector'].to_pylist()), FEATURES)
  assert json.loads(table.schema.metadata[b'ssl_jax']) == {
      'encoder': 'runs/a', 'step': 7, 'class_names': ['cat', 'dog'],
      'bad_images': ['bad.png']}


def test_another_suffix_or_a_missing_library_is_one_sentence(tmp_path, monkeypatch):
  with pytest.raises(errors.UserError, match="ends in '.txt'; accepted are .npz, .csv"):
    vectors.check_path(tmp_path / 'z.txt')
  monkeypatch.setattr(vectors.importlib.util, 'find_spec', lambda name: None)
  vectors.check_path(tmp_path / 'z.csv')
  with pytest.raises(errors.UserError, match='pip install pyarrow'):
    vectors.check_path(tmp_path / 'z.parquet')
