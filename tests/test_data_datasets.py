"""Data sets by name: built-in ones, TFDS, the real CIFAR-10, and mistakes."""

import io
import json
import pickle
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from sklearn import datasets as sklearn_datasets
from sklearn import linear_model

from ssl_jax import errors
from ssl_jax.data import builtin, datasets, prepare, tfds_source

CIFAR10 = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse',
           'ship', 'truck')


def test_digits_are_scikit_learns():
  raw = sklearn_datasets.load_digits()
  train, test = (datasets.load('digits', s, channels=1, validation_fraction=0)
                 for s in ('train', 'test'))
  assert train.image_shape == (8, 8, 1) and train.num_classes == 10
  assert len(train) + len(test) == 1797 and abs(len(test) - 360) <= 5
  both = np.concatenate([train.images, test.images])
  expected = np.rint(raw.images / 16 * 255)
  assert sorted(x.tobytes() for x in both) == sorted(
      x.tobytes() for x in expected.astype(np.uint8))


def test_digits_grow_by_repeating_pixels():
  small, large = (datasets.load('digits', image_size=s).images for s in (8, 16))
  assert large.shape[1:] == (16, 16, 3)
  np.testing.assert_array_equal(large[:, ::2, 1::2], small)
  np.testing.assert_array_equal(large[:, 1::2, ::2], small)
  np.testing.assert_array_equal(large[..., 0], large[..., 2])


def test_splits_are_disjoint_and_follow_the_seed():
  def images(split, seed=0):
    return {x.tobytes() for x in datasets.load('digits', split, split_seed=seed).images}

  train, validation, test = map(images, ('train', 'validation', 'test'))
  assert not train & validation and not train & test and not validation & test
  assert images('validation', seed=1) != validation == images('validation')


def test_label_subset_of_train():
  source = datasets.load('digits', label_subset={'per_class': 3, 'seed': 1})
  assert np.bincount(source.labels).tolist() == [3] * 10
  whole = {x.tobytes() for x in datasets.load('digits').images}
  assert {x.tobytes() for x in source.images} <= whole


def test_synthetic_is_learnable_seeded_and_balanced():
  def load(split, **fields):
    return datasets.load('synthetic', split, image_size=8, num_examples=400,
                        validation_fraction=0, **fields)

  train, test = load('train'), load('test')
  assert train.images.dtype == np.uint8 and train.image_shape == (8, 8, 3)
  assert np.bincount(train.labels).tolist() == [100] * 4 and len(test) == 100
  np.testing.assert_array_equal(train.images, load('train').images)
  assert (train.images != load('train', seed=1).images).any()
  flat = [x.images.reshape(len(x), -1) / 255 for x in (train, test)]
  classifier = linear_model.LogisticRegression().fit(flat[0], train.labels)
  assert classifier.score(flat[1], test.labels) > 0.9


def test_synthetic_has_an_up():
  images = builtin.synthetic('train', 16, num_examples=256).images.astype(float)
  assert images[:, :8].mean() > images[:, 8:].mean() + 5


def test_gray_synthetic_differs_by_orientation_alone():
  source = datasets.load('synthetic', channels=1, num_classes=2, num_examples=64)
  x = source.images[..., 0].astype(float)
  horizontal = np.abs(np.diff(x, axis=2)).mean((1, 2))
  vertical = np.abs(np.diff(x, axis=1)).mean((1, 2))
  np.testing.assert_array_equal(horizontal < vertical, source.labels == 1)


def test_real_cifar10(tfds_data_dir):
  def load(split, **fields):
    return datasets.load('cifar10', split, data_dir=tfds_data_dir, **fields)

  train, validation, test = map(load, ('train', 'validation', 'test'))
  assert train.class_names == CIFAR10 and train.image_shape == (32, 32, 3)
  for source, each in ((train, 4500), (validation, 500), (test, 1000)):
    assert np.bincount(source.labels).tolist() == [each] * 10
  assert len(load('train', validation_fraction=0)) == 50_000
  rows = test.read(np.array([9_999, 0, 4_321]))
  np.testing.assert_array_equal(rows.labels, test.labels[[9_999, 0, 4_321]])
  assert rows.images.shape == (3, 32, 32, 3) and rows.mask.all()
  assert rows.images.std() > 20
  assert 'tensorflow' not in sys.modules


def test_cifar10_rows_are_those_of_tfds(tfds_data_dir):
  stored = tfds.data_source('cifar10', split='test', data_dir=tfds_data_dir)
  source = datasets.load('cifar10', 'test', data_dir=tfds_data_dir)
  for i in (0, 17, 5_000):
    rows = source.read(np.array([i]))
    np.testing.assert_array_equal(rows.images[0], stored[i]['image'])
    assert rows.labels[0] == stored[i]['label']


def test_the_fingerprint_of_a_tfds_set_reads_no_record(tfds_data_dir, monkeypatch):
  monkeypatch.setattr(tfds_source.TfdsSource, '_catalogue', lambda self: 1 / 0)
  found = [datasets.load('cifar10', split, data_dir=tfds_data_dir,
                         validation_fraction=0).description
           for split in ('train', 'test')]
  assert json.loads(json.dumps(found)) == found  # as a checkpoint keeps it
  train, test = (f['fingerprint'] for f in found)
  assert (train['images'], test['images']) == (50_000, 10_000)
  assert train['version'] == test['version'] == '3.0.2'
  assert train['bytes'] > test['bytes'] > 0 and train['shards']


def test_materialise_equals_read(tfds_data_dir):
  source = datasets.load('cifar10', data_dir=tfds_data_dir,
                         label_subset={'per_class': 60})
  arrays = source.load_into_memory()
  rows = source.read(np.arange(600))
  np.testing.assert_array_equal(arrays.images, rows.images)
  np.testing.assert_array_equal(arrays.labels, source.labels)


def test_a_tfds_source_travels_to_a_worker_process(tfds_data_dir):
  source = datasets.load('cifar10', 'test', data_dir=tfds_data_dir)
  index = np.array([5, 1])
  expected = source.read(index)
  copy = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(copy.read(index).images, expected.images)


def test_imagenet_by_tfds(tmp_path):
  """A tiny set with the name, features, classes and splits of TFDS' builder."""
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


@pytest.mark.parametrize('name', ['digits', 'synthetic'])
def test_images_without_file_names_are_in_no_list(name, tmp_path):
  (tmp_path / 'list.txt').write_text('a')
  with pytest.raises(errors.UserError, match=f'{name}/train has no file names'):
    datasets.load(name, label_subset={'file_list': str(tmp_path / 'list.txt')})


def test_digits_fill_their_canvas():
  plain, canvas = (datasets.load('digits', 'test', image_size=8, canvas=c)
                   for c in (False, True))
  np.testing.assert_array_equal(plain.images, canvas.images)


@pytest.mark.parametrize('fields,sentence', [
    (dict(name='cifar10'), 'python -m ssl_jax.prepare_data --dataset=cifar10'),
    (dict(name='svhn_cropped'), 'tfds build svhn_cropped'),
    (dict(name='cifar11'), "did you mean 'cifar1"),
    (dict(name='/tmp/photos'), 'an image folder is written folder:/path'),
    (dict(name='mnist:9.9.9'), "'mnist:9.9.9', not a data set in"),
    (dict(name='digits', split='tset'), "did you mean 'test'"),
    (dict(name='digits', image_size=20), 'multiple of 8'),
    (dict(name='digits', channels=2), 'channels is 2'),
    (dict(name='digits', image_size=0), 'image_size is 0'),
    (dict(name='cifar10', canvas=True), 'canvas is True, but config.data.image_size'),
    (dict(name='imagenet2012', image_size=8),
     'tfds build imagenet2012 --file_format=array_record'),
    (dict(name='digits', validation_fraction=2.), 'validation_fraction is 2.0'),
    (dict(name='digits', split='validation', validation_fraction=0), 'no split'),
    (dict(name='digits', num_examples=3), 'num_examples is 3, but only'),
    (dict(name='synthetic', num_example=3), "did you mean 'num_examples'"),
    (dict(name='synthetic', num_examples=3), 'num_examples is 3 with 4'),
    (dict(name='digits', split='test', label_subset=dict(first_k=1)),
     'training images'),
    (dict(name='digits', label_subset=dict(per_class=999)), 'per_class is 999'),
])
def test_mistakes_are_told(tmp_path, fields, sentence):
  with pytest.raises(errors.UserError, match=sentence) as e:
    datasets.load(data_dir=str(tmp_path), **fields)
  assert '\n' not in str(e.value)
