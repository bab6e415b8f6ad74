"""Tests that archives and folders become what `datasets.load` reads."""

import hashlib
import io
import os
import pickle
import sys
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from ssl_jax import errors
from ssl_jax.data import datasets, prepare
from ssl_jax.jobs import prepare_data

COARSE = np.array([1, 0, 1])  # superclass of each fine class


def archive(path, files):
  """Writes a tar.gz of pickles; returns its MD5."""
  with tarfile.open(path, 'w:gz') as tar:
    for name, content in files.items():
      data = pickle.dumps(content)
      info = tarfile.TarInfo(name)
      info.size = len(data)
      tar.addfile(info, io.BytesIO(data))
  return hashlib.md5(path.read_bytes()).hexdigest()


def batch(n, seed, fine=b'labels', **more):
  random = np.random.default_rng(seed)
  labels = random.integers(0, 3, n)
  return {b'data': random.integers(0, 256, (n, 3072), np.uint8),
          fine: labels.tolist(), **{k.encode(): v(labels) for k, v in more.items()}}


def pixels(raw):
  """Decodes the release's layout: 1024 red, 1024 green, 1024 blue, row by row."""
  return np.stack([raw[:, 1024 * c:1024 * (c + 1)].reshape(-1, 32, 32)
                   for c in range(3)], -1)


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
  """Writes a tiny archive in the layout of CIFAR-10; returns (path, its files)."""
  spec = prepare.CIFAR['cifar10']
  files = {name: batch(3, i) for i, name in enumerate((*spec.train, *spec.test))}
  files[spec.meta] = {b'label_names': [b'air', b'boat', b'car']}
  path = tmp_path / 'cifar-10-python.tar.gz'
  md5 = archive(path, files)
  monkeypatch.setitem(prepare.CIFAR, 'cifar10', spec._replace(md5=md5))
  return path, files


@pytest.fixture
def photos(tmp_path):
  """Writes an image folder with two classes and one corrupt file."""
  for c, name in enumerate(['cat', 'dog']):
    (tmp_path / 'photos' / name).mkdir(parents=True)
    for i in range(5):
      Image.new('L' if i == 1 else 'RGB', (6 + i, 8), 20 * i if i == 1 else (
          100 * c, 20 * i, 0)).save(tmp_path / 'photos' / name / f'{i}.png')
  (tmp_path / 'photos' / 'dog' / '3.png').write_bytes(b'torn')
  return tmp_path / 'photos'


def test_cifar10_in_the_order_of_the_release(cifar10, tmp_path):
  path, files = cifar10
  message = prepare_data.run('cifar10', str(tmp_path / 'tfds'), str(path))
  assert 'cifar10/3.0.2' in message and '--config.data.name=cifar10' in message
  spec = prepare.CIFAR['cifar10']
  for split, members in (('train', spec.train), ('test', spec.test)):
    source = datasets.load('cifar10', split, data_dir=str(tmp_path / 'tfds'),
                          validation_fraction=0)
    arrays = source.load_into_memory()
    raw = np.concatenate([files[m][b'data'] for m in members])
    labels = np.concatenate([files[m][b'labels'] for m in members])
    np.testing.assert_array_equal(arrays.images, pixels(raw))
    np.testing.assert_array_equal(arrays.labels, labels)
    assert arrays.class_names == ('air', 'boat', 'car')
  assert 'tensorflow' not in sys.modules


def test_tfds_reads_it_too(cifar10, tmp_path):
  prepare.cifar('cifar10', str(tmp_path), str(cifar10[0]))
  stored = tfds.data_source('cifar10', split='train', data_dir=str(tmp_path))
  example = stored[4]
  assert example['id'] == b'train_00004'
  name = prepare.CIFAR['cifar10'].train[1]
  np.testing.assert_array_equal(
      example['image'], pixels(cifar10[1][name][b'data'])[1])


def test_cifar100_has_both_labels(tmp_path, monkeypatch):
  spec = prepare.CIFAR['cifar100']
  files = {name: batch(4, i, b'fine_labels', coarse_labels=lambda x: COARSE[x].tolist())
           for i, name in enumerate((*spec.train, *spec.test))}
  files[spec.meta] = {b'fine_label_names': [b'x', b'y', b'z'],
                      b'coarse_label_names': [b'p', b'q']}
  path = tmp_path / 'a.tar.gz'
  monkeypatch.setitem(prepare.CIFAR, 'cifar100',
                      spec._replace(md5=archive(path, files)))
  prepare.cifar('cifar100', str(tmp_path), str(path))
  source = datasets.load('cifar100', 'test', data_dir=str(tmp_path))
  assert source.class_names == ('x', 'y', 'z')
  stored = tfds.data_source('cifar100', split='test', data_dir=str(tmp_path))
  for i, example in enumerate(stored):
    assert example['label'] == source.labels[i]
    assert example['coarse_label'] == COARSE[example['label']]


def test_a_wrong_archive_is_refused_before_it_is_unpickled(cifar10, tmp_path,
                                                           monkeypatch):
  monkeypatch.setattr(pickle, 'load', lambda *a, **k: pytest.fail('unpickled'))
  cifar10[0].write_bytes(cifar10[0].read_bytes() + b'\0')
  with pytest.raises(errors.UserError, match='is damaged or another file'):
    prepare.cifar('cifar10', str(tmp_path / 'tfds'), str(cifar10[0]))


@pytest.mark.parametrize('stop', [KeyboardInterrupt, OSError])
def test_interrupt_and_rerun(cifar10, tmp_path, monkeypatch, stop):
  data_dir = tmp_path / 'tfds'
  whole = prepare.cifar_examples

  def interrupted(*args):
    yield from list(whole(*args))[:2]
    raise stop

  monkeypatch.setattr(prepare, 'cifar_examples', interrupted)
  with pytest.raises(stop):
    prepare.cifar('cifar10', str(data_dir), str(cifar10[0]))
  assert not (data_dir / 'cifar10' / '3.0.2').exists()
  killed = data_dir / 'cifar10' / 'incomplete.ABCDEF_3.0.2'  # a kill -9 leaves this
  killed.mkdir(parents=True)
  (killed / 'cifar10-train.array_record-00000-of-00001').write_bytes(b'half')

  monkeypatch.setattr(prepare, 'cifar_examples', whole)
  prepare.cifar('cifar10', str(data_dir), str(cifar10[0]))
  assert [p.name for p in (data_dir / 'cifar10').iterdir()] == ['3.0.2']
  assert len(datasets.load('cifar10', 'test', data_dir=str(data_dir))) == 3


def test_a_complete_data_set_is_left_alone(cifar10, tmp_path):
  path = prepare.cifar('cifar10', str(tmp_path / 'tfds'), str(cifar10[0]))
  before = {p: p.stat().st_mtime_ns for p in path.iterdir()}
  cifar10[0].unlink()
  assert prepare.cifar('cifar10', str(tmp_path / 'tfds')) == path
  assert before == {p: p.stat().st_mtime_ns for p in path.iterdir()}


def test_folder_becomes_the_same_data_set(photos, tmp_path):
  prepare_data.run('folder', str(tmp_path), source=str(photos), name='mine')
  for split in ('train', 'test'):
    ours, folder = (
        datasets.load(name, split, data_dir=str(tmp_path), image_size=8,
                     validation_fraction=0).load_into_memory()
        for name in ('mine', f'folder:{photos}'))
    np.testing.assert_array_equal(ours.images, folder.images)
    np.testing.assert_array_equal(ours.labels, folder.labels)
    assert ours.class_names == ('cat', 'dog')
  total = sum(len(datasets.load('mine', s, data_dir=str(tmp_path), image_size=8,
                               validation_fraction=0)) for s in ('train', 'test'))
  assert total == 9


def test_odd_files_of_a_folder_become_the_same_data_set(photos, tmp_path):
  deep = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1300
  Image.fromarray(deep).save(photos / 'cat' / '5.tiff')
  Image.new('RGB', (6, 8), (9, 8, 7)).quantize(2).save(photos / 'dog' / '6.GIF')
  Image.fromarray(deep.astype(np.float32)).save(photos / 'cat' / 'float.tif')
  (photos / 'dog' / 'loop').symlink_to('..')
  (photos / 'dog' / 'gone.png').symlink_to('nowhere')
  (photos / '__MACOSX').mkdir()
  os.rename(photos / 'cat' / '4.png', os.fsencode(photos / 'cat') + b'/\xff.png')
  prepare_data.run('folder', str(tmp_path), source=str(photos), name='mine')
  for split in ('train', 'test'):
    ours, folder = (
        datasets.load(name, split, data_dir=str(tmp_path), image_size=8,
                     validation_fraction=0).load_into_memory()
        for name in ('mine', f'folder:{photos}'))
    np.testing.assert_array_equal(ours.images, folder.images)
    np.testing.assert_array_equal(ours.labels, folder.labels)
    assert ours.class_names == folder.class_names == ('cat', 'dog')


@pytest.mark.parametrize('name', ['a\nb', ' a'])
def test_a_class_name_that_tfds_cannot_keep_is_reported(photos, tmp_path, name):
  (photos / 'cat').rename(photos / name)
  with pytest.raises(errors.UserError, match='line break or with space.*; rename'):
    prepare.image_folder(str(photos), 'mine', str(tmp_path))


def test_a_split_without_a_good_image_is_reported(tmp_path):
  for split, content in (('train', None), ('test', b'torn')):
    path = tmp_path / 'mine' / split / 'cat' / '0.png'
    path.parent.mkdir(parents=True)
    Image.new('RGB', (4, 4)).save(path)
    if content:
      path.write_bytes(content)
  with pytest.raises(errors.UserError, match='a split of 1 images, and none'):
    prepare.image_folder(str(tmp_path / 'mine'), 'mine', str(tmp_path))


def test_rgb_files_are_stored_byte_for_byte(photos, tmp_path):
  prepare.image_folder(str(photos), 'mine', str(tmp_path))
  stored = {x['id'].decode(): x['image'] for split in ('train', 'test')
            for x in tfds.data_source(
                'mine', split=split, data_dir=str(tmp_path),
                decoders={'image': tfds.decode.SkipDecoding()})}
  assert stored['cat/0.png'] == (photos / 'cat' / '0.png').read_bytes()
  assert Image.open(io.BytesIO(stored['cat/1.png'])).mode == 'RGB'


def test_flat_folder_stays_unlabelled(photos, tmp_path):
  prepare.image_folder(str(photos / 'cat'), 'flat', str(tmp_path))
  source = datasets.load('flat', data_dir=str(tmp_path), image_size=4,
                        validation_fraction=0)
  assert source.labels.tolist() == [-1] * 5 and source.class_names == ()


def test_a_set_whose_test_split_has_no_labels_is_tested_on_validation(tmp_path):
  png = io.BytesIO()
  Image.new('RGB', (4, 4)).save(png, 'PNG')

  def examples(n, label):
    return lambda: iter([{'image': png.getvalue(), 'label': label}] * n)

  features = {'image': tfds.features.Image(shape=(None, None, 3)),
              'label': tfds.features.ClassLabel(names=['a', 'b'])}
  prepare.write('imagenetlike', '1.0.0', str(tmp_path), features, {
      'train': examples(10, 0), 'validation': examples(3, 1), 'test': examples(4, -1)})
  lengths = {split: len(datasets.load('imagenetlike', split, data_dir=str(tmp_path),
                                     validation_fraction=0.2))
             for split in ('train', 'validation', 'test')}
  assert lengths == {'train': 8, 'validation': 2, 'test': 3}


def test_too_many_bad_images(photos, tmp_path):
  with pytest.raises(errors.UserError, match=r'max_bad_images.*dog/3\.png'):
    prepare.image_folder(str(photos), 'mine', str(tmp_path), max_bad_images=0)
  assert not (tmp_path / 'mine' / '1.0.0').exists()
