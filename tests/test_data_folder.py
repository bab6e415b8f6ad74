"""Tests image folders of accepted and of refused layouts."""

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


def test_labels_names_and_pixels(root):
  listing = folder.scan(str(root))
  train = datasets.load(f'folder:{root}', validation_fraction=0)
  test = datasets.load(f'folder:{root}', 'test')
  assert train.class_names == ('cat', 'dog') and train.image_shape == (8, 8, 3)
  assert np.bincount(train.labels).tolist() == [8, 8]
  assert np.bincount(test.labels).tolist() == [2, 2]
  assert sorted(values(train) + values(test)) == [*range(10), *range(100, 110)]
  assert [v // 100 for v in values(train)] == train.labels.tolist()
  assert listing['train'].paths == folder.scan(str(root))['train'].paths


def test_train_and_validation_are_disjoint(root):
  train, validation = (datasets.load(f'folder:{root}', s, validation_fraction=0.25)
                       for s in ('train', 'validation'))
  assert len(train) == 12 and len(validation) == 4
  assert not set(values(train)) & set(values(validation))


@pytest.mark.parametrize('names,test,validation', [
    (['train', 'test'], 'test', None), (['train', 'val'], 'val', None),
    (['train', 'valid', 'test'], 'test', 'valid')])
def test_split_folders(tmp_path, names, test, validation):
  for k, split in enumerate(names):
    for name in ('cat', 'dog'):
      for i in range(4):
        save(tmp_path / split / name / f'{i}.jpg', 50 * k)
  shade = {split: 50 * k for k, split in enumerate(names)}
  assert set(values(datasets.load(f'folder:{tmp_path}', 'test'))) == {shade[test]}
  chosen = datasets.load(f'folder:{tmp_path}', 'validation', validation_fraction=0.25)
  assert set(values(chosen)) == {shade[validation or 'train']}
  assert len(datasets.load(f'folder:{tmp_path}')) == (8 if validation else 6)


def test_ilsvrc_as_it_lies_on_most_disks(tmp_path):
  for split, names in (('train', 'n01440764_{}'), ('val', 'ILSVRC2012_val_0000000{}')):
    for c, synset in enumerate(['n01440764', 'n01443537']):
      for i in range(4):
        save(tmp_path / split / synset / f'{names.format(i + 5 * c)}.JPEG', 9 * i)
  load = lambda split, **fields: datasets.load(
      f'folder:{tmp_path}', split, validation_fraction=0, **fields)
  train, test = load('train'), load('test')
  assert train.class_names == test.class_names == ('n01440764', 'n01443537')
  assert train.labels.tolist() == test.labels.tolist() == [0] * 4 + [1] * 4
  assert train.file_names[0] == 'n01440764_0.JPEG'
  (tmp_path / '1percent.txt').write_text('n01440764_6.JPEG\nn01440764_3.JPEG\n')
  few = load('train', label_subset={'file_list': str(tmp_path / '1percent.txt')})
  assert few.labels.tolist() == [0, 1] and values(few) == [27, 9]


def test_loose_validation_images_are_refused(tmp_path):
  save(tmp_path / 'train' / 'n01440764' / 'n01440764_1.JPEG')
  save(tmp_path / 'val' / 'ILSVRC2012_val_00000293.JPEG')
  with pytest.raises(errors.UserError, match='loose images .*folder of its class here '
                     'too, as in .*/val/n01440764/ILSVRC2012_val_00000293.JPEG'):
    datasets.load(f'folder:{tmp_path}')


def test_labels_of_test_follow_the_classes_of_train(tmp_path):
  for split, classes in (('train', 'abc'), ('test', 'c')):
    for name in classes:
      save(tmp_path / split / name / '0.png')
  assert folder.scan(str(tmp_path))['test'].labels.tolist() == [2]


def test_flat_folder_is_unlabelled(tmp_path):
  for i in range(10):
    save(tmp_path / f'{i}.png', i)
  source = datasets.load(f'folder:{tmp_path}', validation_fraction=0)
  assert source.labels.tolist() == [-1] * 10 and source.num_classes == 0
  assert values(source) == list(range(10))
  with pytest.raises(errors.UserError, match="no split 'test'"):
    datasets.load(f'folder:{tmp_path}', 'test')


def test_hidden_and_other_files_are_ignored(root):
  (root / '.DS_Store').write_text('')
  (root / 'readme.txt').write_text('')
  (root / 'cat' / 'notes.txt').write_text('')
  save(root / 'cat' / '._0.png')
  save(root / '.cache' / '0.png')
  save(root / 'cat' / 'more' / '0.PNG')
  assert sum(len(x.paths) for x in folder.scan(str(root)).values()) == 21


def test_mixed_modes_and_sizes_become_one_shape(tmp_path):
  for i, (mode, size) in enumerate([
      ('RGB', (20, 10)), ('L', (9, 9)), ('RGBA', (6, 30)), ('LA', (1, 1))]):
    save(tmp_path / 'all' / f'{i}.png', 255, size, mode)
  save(tmp_path / 'all' / '4.jpg', 0, (12, 12), 'CMYK')  # no ink
  source = datasets.load(f'folder:{tmp_path}', image_size=8, validation_fraction=0)
  arrays = source.load_into_memory()
  assert arrays.images.shape == (4, 8, 8, 3)  # a fifth is test
  assert arrays.images.dtype == np.uint8 and (arrays.images > 250).all()


def test_unequal_sizes_need_image_size(train_root):
  save(train_root / 'train' / 'cat' / '1.png', 1, (5, 6))
  source = datasets.load(f'folder:{train_root}', validation_fraction=0)
  with pytest.raises(errors.UserError, match=r'1\.png is 5x6.*8x8.*image_size'):
    source.load_into_memory()


def test_corrupt_images_are_named_and_left_out(train_root, caplog):
  for name in ('cat/0.png', 'dog/3.png'):
    (train_root / 'train' / name).write_bytes(b'not an image')
  (train_root / 'train' / 'dog' / '4.png').unlink()
  (train_root / 'train' / 'dog' / '4.png').symlink_to('nowhere')
  source = datasets.load(f'folder:{train_root}', validation_fraction=0)
  with caplog.at_level(logging.WARNING):
    arrays = source.load_into_memory()
  good = [*range(1, 10), 100, 101, 102, 105, 106, 107, 108, 109]
  assert values(arrays) == good
  assert arrays.labels.tolist() == [v // 100 for v in good]
  for name in ('cat/0.png', 'dog/3.png', 'dog/4.png'):
    assert name in caplog.text


def test_too_many_corrupt_images(train_root):
  for i in range(3):
    (train_root / 'train' / 'cat' / f'{i}.png').write_bytes(b'')

  def load(limit):
    return datasets.load(f'folder:{train_root}', max_bad_images=limit, image_size=8,
                        validation_fraction=0).load_into_memory()

  assert len(load(3)) == 17
  with pytest.raises(errors.UserError, match='max_bad_images, which is 2'):
    load(2)


def test_bad_folders(tmp_path):
  def refuse(sentence):
    with pytest.raises(errors.UserError, match=sentence):
      datasets.load(f'folder:{tmp_path}/x')

  refuse('does not exist')
  (tmp_path / 'x').mkdir()
  refuse('is empty')
  (tmp_path / 'x' / 'cat').mkdir()
  (tmp_path / 'x' / 'cat' / 'a.txt').write_text('')
  refuse(r'is empty except for 1 file ending in \.txt; images end in \.jpg')
  save(tmp_path / 'x' / 'cat' / '0.png')
  save(tmp_path / 'x' / 'loose.png')
  refuse(r'mislabelled.*loose\.png.*cat')


def test_the_only_image_of_a_class_is_for_training(tmp_path, caplog):
  for name, n in (('cat', 3), ('dog', 1)):
    for i in range(n):
      save(tmp_path / name / f'{i}.png')
  assert counts(tmp_path) == {'train': [2, 1], 'test': [1]}
  assert 'no test images of dog' in logged(tmp_path, caplog)
  for i in (1, 2):
    (tmp_path / 'cat' / f'{i}.png').unlink()
  with pytest.raises(errors.UserError, match='one image in every class.*and test'):
    folder.scan(str(tmp_path))


def test_a_test_class_that_train_lacks(tmp_path):
  save(tmp_path / 'train' / 'cat' / '0.png')
  save(tmp_path / 'test' / 'cats' / '0.png')
  with pytest.raises(errors.UserError, match="cats has no counterpart.*'cat'"):
    folder.scan(str(tmp_path))


@pytest.mark.parametrize('folders, found', [
    (['airplane', 'bus', 'train'], {'train': [3, 3, 3], 'test': [1, 1, 1]}),
    (['airplane', 'bus', 'Train'], {'train': [3, 3, 3], 'test': [1, 1, 1]}),
    (['train/airplane', 'train/bus', 'train/train'], {'train': [4, 4, 4]}),
    (['train/test', 'train/train', 'test/train'], {'train': [4, 4], 'test': [0, 4]}),
    (['train/cat', 'train/dog', 'val/cat', 'val/dog', 'figures'],
     {'train': [4, 4], 'test': [4, 4]}),
    (['Training/cat', 'TEST/cat'], {'train': [4], 'test': [4]}),
    (['train'], {'train': 4}), (['train', 'test'], {'train': 4, 'test': 4}),
    (['trains', 'testing ground', 'values'], {'train': [3, 3, 3], 'test': [1, 1, 1]})])
def test_a_folder_called_train_is_a_split_or_a_class(tmp_path, folders, found):
  assert counts(write_images(tmp_path, *folders)) == found


@pytest.mark.parametrize('folders, names', [
    (['bus', 'train'], 'train may be a split or a class, next to bus'),
    (['train/cat', 'train/dog', 'figures'], 'train may be .* next to figures'),
    (['cat', 'dog', 'test'], 'test may be a split or a class, next to cat and dog'),
    (['cat', 'dog', 'test/cat', 'test/dog'], 'test may be'),
    (['airplane', 'bus', 'train', 'val'], 'train and val may be splits or classes'),
    (['a', 'b', 'c', 'd', 'valid'], 'valid may be .*, next to a, b, c and 1 more')])
def test_two_readings_are_refused_and_the_remedy_for_classes_works(tmp_path, folders,
                                                                   names):
  root = write_images(tmp_path / 'root', *folders)
  with pytest.raises(errors.UserError, match=f'read in two ways: {names}.*; for'):
    folder.scan(str(root))
  root.rename(tmp_path / 'train')
  (tmp_path / 'root').mkdir()
  (tmp_path / 'train').rename(tmp_path / 'root' / 'train')
  classes = {name.split('/')[0] for name in folders}
  assert folder.scan(str(root))['train'].class_names == tuple(sorted(classes))


@pytest.mark.parametrize('folders, sentence', [
    (['test/cat', 'val/cat'], 'no folder train with images next to test and val'),
    (['train/cat', 'val/cat', 'valid/cat'], 'for the split validation: val and valid'),
    (['cat/train', 'cat/test', 'dog/train'], 'cat holds test and train, whose images '
     'would all be of the class cat.*train/cat')])
def test_splits_that_make_no_sense_are_refused(tmp_path, folders, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    folder.scan(str(write_images(tmp_path, *folders)))


def test_a_class_of_train_without_images_is_not_a_class(tmp_path, caplog):
  write_images(tmp_path, 'train/cat', 'train/dog', 'test/cat')
  for empty in ('train/fish', 'test/dog', 'test/__MACOSX'):
    (tmp_path / empty).mkdir()
  assert counts(tmp_path) == {'train': [4, 4], 'test': [4]}
  assert logged(tmp_path, caplog) == (
      f'folder:{tmp_path}: 8 training and 4 test images of 2 classes; no test images '
      'of dog; left out: folder train/fish (no images), folder test/__MACOSX (no '
      'images)')
  save(tmp_path / 'test' / 'fish' / '0.png')
  with pytest.raises(errors.UserError, match='test/fish has no counterpart with'):
    folder.scan(str(tmp_path))


def test_tiff_and_gif_are_images(tmp_path):
  suffixes = ('png', 'tif', 'TIFF', 'gif', 'bmp')
  for i, suffix in enumerate(suffixes):
    save(tmp_path / 'train' / 'cat' / f'{i}.{suffix}', 10 * i)
  source = datasets.load(f'folder:{tmp_path}', validation_fraction=0)
  assert values(source) == [0, 10, 20, 30, 40]


def test_a_class_name_that_is_no_text_is_reported(root):
  (root / 'cat').rename(root / 'caf\udce9')
  with pytest.raises(errors.UserError, match=r"caf\\udce9' has a name .* not UTF"):
    folder.scan(str(root))


@pytest.mark.parametrize('folders, sizes', [
    (['.', '2024/may', '2024', 'train/a'], {'train': 16}),
    (['train/a/b', 'val/a', 'train'], {'train': 8, 'test': 4}),
    (['test', 'val'], {'train': 8})])
def test_without_labels_images_of_any_depth_are_used(tmp_path, caplog, folders, sizes):
  write_images(tmp_path, *folders)
  found = folder.scan(str(tmp_path), labelled=False)
  assert {split: len(x.paths) for split, x in found.items()} == sizes
  everything = {str(path) for path in tmp_path.rglob('*.png')}
  assert {path for x in found.values() for path in x.paths} == everything
  source = datasets.load(f'folder:{tmp_path}', labelled=False, validation_fraction=0)
  assert len(source) == sizes['train'] and source.class_names == ()
  assert set(source.labels.tolist()) == {-1}


def test_loose_images_next_to_folders_name_the_way_out(tmp_path):
  write_images(tmp_path, '.', 'cat')
  with pytest.raises(errors.UserError, match='without labels by config.data.labelled'):
    folder.scan(str(tmp_path))
