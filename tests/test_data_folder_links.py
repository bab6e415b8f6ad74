"""Tests image folders with links, damaged files and files that are no images."""

import logging

import numpy as np
import pytest
from image_folders import counts, logged, save, values, write_images

from ssl_jax import errors
from ssl_jax.data import datasets, folder


@pytest.fixture
def root(tmp_path):
  """Writes two classes of ten images; image i of class c has the value 100 c + i."""
  for c, name in enumerate(['cat', 'dog']):
    for i in range(10):
      save(tmp_path / name / f'{i}.png', 100 * c + i)
  return tmp_path


@pytest.fixture
def train_root(root):
  """Moves the same images into `train`."""
  for name in ('cat', 'dog'):
    (root / 'train').mkdir(exist_ok=True)
    (root / name).rename(root / 'train' / name)
  return root


def test_what_is_left_out_is_counted_in_one_line(root, caplog):
  for name in ('a.txt', 'cat/b.TXT', 'dog/c.txt', '__MACOSX/cat/d.txt', 'cat/e.heic'):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text('')
  assert logged(root, caplog) == (
      f'folder:{root}: 16 training and 4 test images of 2 classes; left out: 1 file '
      'ending in .heic, 3 files ending in .txt, folder __MACOSX (no images)')


def test_cruft_next_to_splits_is_left_out(tmp_path, caplog):
  write_images(tmp_path, 'train/cat', 'test/cat', 'figures')
  save(tmp_path / 'preview.png')
  assert logged(tmp_path, caplog).endswith(
      'left out: 1 image next to train, folder figures (next to train)')


def test_a_link_to_a_parent_changes_nothing(root, caplog):
  without = folder.scan(str(root))
  (root / 'dog' / 'loop').symlink_to('..')
  found = folder.scan(str(root))
  assert found['train'].paths == without['train'].paths
  assert found['test'].paths == without['test'].paths
  assert logged(root, caplog).endswith('left out: 1 link to a parent folder')


@pytest.mark.parametrize('link, target, places', [
    ('train/cat/more', '../dog', 'train/cat and in class .*train/dog'),
    ('train/cat/9.png', '../dog/1.png', 'train/cat and in class .*train/dog'),
    ('train/copy', 'cat', 'train/cat and in class .*train/copy'),
    ('train/cat/more', '../../test/cat', 'train/cat and in class .*test/cat'),
    ('val', 'test', 'val/cat and in class .*test/cat')])
def test_one_file_in_two_classes_or_splits_is_refused(tmp_path, link, target, places):
  write_images(tmp_path, 'train/cat', 'train/dog', 'test/cat')
  (tmp_path / link).symlink_to(target)
  with pytest.raises(errors.UserError, match=f'are the same file, in class .*{places}'):
    folder.scan(str(tmp_path))


def test_a_second_link_to_an_image_of_the_class_is_left_out(train_root, caplog):
  (train_root / 'train/cat/copy.png').symlink_to('0.png')
  assert counts(train_root) == {'train': [10, 10]}
  assert logged(train_root, caplog).endswith('1 link to an image of the same class')


def test_classes_may_be_links_to_storage(root, tmp_path_factory):
  linked = tmp_path_factory.mktemp('linked')
  for name in ('cat', 'dog'):
    (linked / name).symlink_to(root / name)
  direct, there = (datasets.load(f'folder:{x}', validation_fraction=0)
                   for x in (root, linked))
  assert values(there) == values(direct)
  np.testing.assert_array_equal(there.labels, direct.labels)


def test_reasons_are_readable(train_root, caplog):
  cat = train_root / 'train' / 'cat'
  (cat / '0.png').write_bytes(b'')
  (cat / '1.png').write_text('no image')
  (cat / '2.png').unlink()
  (cat / '2.png').symlink_to('nowhere')
  (cat / '3.png').write_bytes((cat / '3.png').read_bytes()[:50])
  with caplog.at_level(logging.WARNING):
    datasets.load(f'folder:{train_root}', validation_fraction=0).load_into_memory()
  for reason in ('0.png is empty', '1.png is not an image that Pillow can read',
                 '2.png cannot be read: No such file or directory',
                 '3.png does not decode: '):
    assert reason in caplog.text
  assert '0x' not in caplog.text
