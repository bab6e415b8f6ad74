"""Tests that TFDS data sets are read as TFDS itself reads them."""

import io
import json
import pickle
import sys

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from ssl_jax.data import datasets, prepare, tfds_source


def test_cifar10_rows_are_those_of_tfds(tfds_data_dir):
  stored = tfds.data_source('cifar10', split='test', data_dir=tfds_data_dir)
  source = datasets.load('cifar10', 'test', data_dir=tfds_data_dir)
  for i in (0, 17, 5_000):
    rows = source.read(np.array([i]))
    np.testing.assert_array_equal(rows.images[0], stored[i]['image'])
    assert rows.labels[0] == stored[i]['label']


def test_the_fingerprint_of_a_tfds_set_reads_one_record_for_its_size(
    tfds_data_dir, monkeypatch):
  read, opened = [], tfds.core.DatasetBuilder.as_data_source

  class Counted:
    def __init__(self, *args, **options):
      self._records = opened(*args, **options)

    def __getitems__(self, indices):
      read.extend(indices)
      return self._records.__getitems__(indices)

  monkeypatch.setattr(tfds.core.DatasetBuilder, 'as_data_source',
                      lambda *args, **options: Counted(*args, **options))
  found = [datasets.load('cifar10', split, data_dir=tfds_data_dir,
                         validation_fraction=0).description
           for split in ('train', 'test')]
  assert read == [0, 0]
  assert json.loads(json.dumps(found)) == found  # as a checkpoint keeps it
  train, test = (f['fingerprint'] for f in found)
  assert (train['images'], test['images']) == (50_000, 10_000)
  assert train['version'] == test['version'] == '3.0.2'
  assert train['bytes'] > test['bytes'] > 0 and train['shards']


def test_a_tfds_source_travels_to_a_worker_process(tfds_data_dir):
  source = datasets.load('cifar10', 'test', data_dir=tfds_data_dir)
  index = np.array([5, 1])
  expected = source.read(index)
  copy = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(copy.read(index).images, expected.images)


def test_imagenet_by_tfds(tmp_path):
  """Reads a tiny set with the name, features, classes and splits of TFDS' builder."""
  classes = ('n01440764', 'n01443537', 'n01484850')
  features = {'image': tfds.features.Image(encoding_format='jpeg'),
              'label': tfds.features.ClassLabel(names=classes),
              'file_name': tfds.features.Text()}

  def examples(split, label):
    for i in range(12):
      out = io.BytesIO()
      Image.new('RGB', (20 + i, 10), (20 * i,) * 3).save(out, 'JPEG')
      yield {'image': out.getvalue(), 'label': label(i),
             'file_name': f'{split}_{i}.JPEG'}

  prepare.write('imagenet2012', '5.1.0', str(tmp_path), features, {
      'train': lambda: examples('train', lambda i: i % 3),
      'validation': lambda: examples('val', lambda i: i % 2),
      'test': lambda: examples('test', lambda i: -1)})
  listed = tmp_path / '1percent.txt'
  listed.write_text('train_7.JPEG\ntrain_4.JPEG\n')

  def load(split, **fields):
    return datasets.load('imagenet2012', split, data_dir=str(tmp_path), image_size=16,
                        canvas=True, **fields)

  train = load('train', validation_fraction=0)
  assert train.num_classes == 1000 and train.class_names[:3] == classes
  assert train.canvas
  assert train.labels.tolist() == [0, 1, 2] * 4
  rows = train.read(np.array([11, 0]))
  assert rows.valid_sizes.tolist() == [[5, 16], [8, 16]]  # of 31x10 and 20x10
  assert rows.images[0, 0, 0].tolist() == [220] * 3
  assert load('test').labels.tolist() == [0, 1] * 6  # TFDS' validation
  few = load('train', validation_fraction=0, label_subset={'file_list': str(listed)})
  assert few.labels.tolist() == [1, 1]
  assert few.file_names == ['train_4.JPEG', 'train_7.JPEG']
  assert few.read(np.array([0])).images[0, 0, 0].tolist() == [80] * 3
  assert 'tensorflow' not in sys.modules


def test_what_the_reader_recommends_can_be_prepared():
  assert set(tfds_source.PREPARABLE) == set(prepare.CIFAR)
