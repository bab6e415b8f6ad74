"""Tests lists of files: plain ones, and tables with labels and splits."""

import image_folders
import numpy as np
import pytest

from ssl_jax import errors
from ssl_jax.data import datasets


@pytest.fixture
def photos(tmp_path):
  """Writes 12 images; image i has the value 10 * i."""
  for i in range(12):
    image_folders.save(tmp_path / 'photos' / f'{i:02}.png', 10 * i)
  return tmp_path / 'photos'


def write_csv(path, rows, header='path,label'):
  path.write_text('\n'.join([header, *rows]) + '\n', encoding='utf-8-sig')
  return f'files:{path}'


def test_a_plain_list_is_unlabelled_and_in_order(photos):
  names = ['03.png', '11.png', str(photos / '00.png')]
  (photos / 'list.txt').write_text('\n'.join(names) + '\n\n')
  source = datasets.load(f'files:{photos}/list.txt', validation_fraction=0)
  assert image_folders.values(source) == [30, 110, 0]
  assert source.image_names == names and source.class_names == ()
  assert source.file_names == ['03.png', '11.png', '00.png']
  assert source.labels.tolist() == [-1] * 3


def test_a_table_may_have_labels_for_some_images(photos, caplog):
  labels = ['cat', 'dog'] * 3 + [''] * 6
  name = write_csv(photos / 'labels.csv',
                   [f'{i:02}.png,{label}' for i, label in enumerate(labels)])
  image_folders.notices.log_once.cache_clear()
  with caplog.at_level('INFO'):
    train = datasets.load(name, validation_fraction=0)
  assert caplog.messages == [
      f'{name}: 10 training and 2 test images of 2 classes; 6 of them have no label']
  test = datasets.load(name, 'test')
  assert train.class_names == ('cat', 'dog') and sorted(test.labels) == [0, 1]
  for source in (train, test):
    for value, label in zip(image_folders.values(source), source.labels, strict=True):
      assert label == (-1 if value >= 60 else value // 10 % 2)
  assert train.partly_labelled and not test.partly_labelled


def test_a_table_may_have_splits_and_be_parquet(photos):
  pyarrow = pytest.importorskip('pyarrow')
  from pyarrow import parquet
  table = {'path': [f'{i:02}.png' for i in range(6)],
           'label': [3., None, 1., 3., 1., 1.],
           'split': ['train'] * 4 + ['test'] * 2}
  parquet.write_table(pyarrow.table(table), photos / 'labels.parquet')
  train = datasets.load(f'files:{photos}/labels.parquet', validation_fraction=0)
  assert train.class_names == ('1', '3')
  assert train.labels.tolist() == [1, -1, 0, 1]
  test = datasets.load(f'files:{photos}/labels.parquet', 'test')
  assert image_folders.values(test) == [40, 50]


def test_labels_can_be_hidden(photos):
  name = write_csv(photos / 'labels.csv', [f'{i:02}.png,{i % 2}' for i in range(12)])
  source = datasets.load(name, labelled=False, validation_fraction=0)
  assert len(source) == 12 and source.class_names == ()
  assert source.labels.tolist() == [-1] * 12
  assert source.read(np.arange(2)).labels.tolist() == [-1] * 2


@pytest.mark.parametrize('header, rows, sentence', [
    ('file,label', ['00.png,a'], 'has no column path; its columns are file, label'),
    ('path,label', [], 'lists no images'),
    ('path,label,split', ['00.png,a,trian'], "split 'trian'; .*did you mean 'train'")])
def test_mistakes_are_reported(photos, header, rows, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    datasets.load(write_csv(photos / 'labels.csv', rows, header))


def test_files_that_are_not_lists(photos):
  with pytest.raises(errors.UserError, match='none.csv cannot be read'):
    datasets.load(f'files:{photos}/none.csv')
  with pytest.raises(errors.UserError, match=r'00.png cannot be read .* one image a'):
    datasets.load(f'files:{photos}/00.png')
