"""Image folders, good and bad."""

import logging

import numpy as np
import pytest
from PIL import Image

from ssl_jax import errors
from ssl_jax.data import folder, sources


def save(path, value=0, size=(8, 8), mode='RGB'):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new(mode, size, value if mode == 'L' else (value,) * len(mode)).save(path)


@pytest.fixture
def root(tmp_path):
  """Two classes of ten; a pixel's value says class and number: 100 c + i."""
  for c, name in enumerate(['cat', 'dog']):
    for i in range(10):
      save(tmp_path / name / f'{i}.png', 100 * c + i)
  return tmp_path


@pytest.fixture
def train_root(root):
  """The same images, all of them in `train`."""
  for name in ('cat', 'dog'):
    (root / 'train').mkdir(exist_ok=True)
    (root / name).rename(root / 'train' / name)
  return root


def values(source):
  return source.materialise().images[:, 0, 0, 0].tolist()


def test_labels_names_and_pixels(root):
  listing = folder.scan(str(root))
  train = sources.load(f'folder:{root}', validation_fraction=0)
  test = sources.load(f'folder:{root}', 'test')
  assert train.class_names == ('cat', 'dog') and train.image_shape == (8, 8, 3)
  assert np.bincount(train.labels).tolist() == [8, 8]
  assert np.bincount(test.labels).tolist() == [2, 2]
  assert sorted(values(train) + values(test)) == [*range(10), *range(100, 110)]
  assert [v // 100 for v in values(train)] == train.labels.tolist()
  assert listing['train'].paths == folder.scan(str(root))['train'].paths


def test_train_and_validation_are_disjoint(root):
  train, validation = (sources.load(f'folder:{root}', s, validation_fraction=0.25)
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
  assert set(values(sources.load(f'folder:{tmp_path}', 'test'))) == {shade[test]}
  chosen = sources.load(f'folder:{tmp_path}', 'validation', validation_fraction=0.25)
  assert set(values(chosen)) == {shade[validation or 'train']}
  assert len(sources.load(f'folder:{tmp_path}')) == (8 if validation else 6)


def test_ilsvrc_as_it_lies_on_most_disks(tmp_path):
  for split, names in (('train', 'n01440764_{}'), ('val', 'ILSVRC2012_val_0000000{}')):
    for c, synset in enumerate(['n01440764', 'n01443537']):
      for i in range(4):
        save(tmp_path / split / synset / f'{names.format(i + 5 * c)}.JPEG', 9 * i)
  load = lambda split, **fields: sources.load(
      f'folder:{tmp_path}', split, validation_fraction=0, **fields)
  train, test = load('train'), load('test')
  assert train.class_names == test.class_names == ('n01440764', 'n01443537')
  assert train.labels.tolist() == test.labels.tolist() == [0] * 4 + [1] * 4
  assert train.file_names[0] == 'n01440764_0.JPEG'
  (tmp_path / '1percent.txt').write_text('n01440764_6.JPEG\nn01440764_3.JPEG\n')
  few = load('train', labels={'file_list': str(tmp_path / '1percent.txt')})
  assert few.labels.tolist() == [0, 1] and values(few) == [27, 9]


def test_loose_validation_images_are_told_how_to_lie(tmp_path):
  save(tmp_path / 'train' / 'n01440764' / 'n01440764_1.JPEG')
  save(tmp_path / 'val' / 'ILSVRC2012_val_00000293.JPEG')
  with pytest.raises(errors.UserError, match='loose images .*folder of its class here '
                     'too, as in .*/val/n01440764/ILSVRC2012_val_00000293.JPEG'):
    sources.load(f'folder:{tmp_path}')


def test_labels_of_test_follow_the_classes_of_train(tmp_path):
  for split, classes in (('train', 'abc'), ('test', 'c')):
    for name in classes:
      save(tmp_path / split / name / '0.png')
  assert folder.scan(str(tmp_path))['test'].labels.tolist() == [2]


def test_flat_folder_is_unlabelled(tmp_path):
  for i in range(10):
    save(tmp_path / f'{i}.png', i)
  source = sources.load(f'folder:{tmp_path}', validation_fraction=0)
  assert source.labels.tolist() == [-1] * 10 and source.num_classes == 0
  assert values(source) == list(range(10))
  with pytest.raises(errors.UserError, match="no split 'test'"):
    sources.load(f'folder:{tmp_path}', 'test')


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
  source = sources.load(f'folder:{tmp_path}', image_size=8, validation_fraction=0)
  arrays = source.materialise()
  assert arrays.images.shape == (4, 8, 8, 3)  # a fifth is test
  assert arrays.images.dtype == np.uint8 and (arrays.images > 250).all()


def test_unequal_sizes_need_image_size(train_root):
  save(train_root / 'train' / 'cat' / '1.png', 1, (5, 6))
  source = sources.load(f'folder:{train_root}', validation_fraction=0)
  with pytest.raises(errors.UserError, match=r'1\.png is 5x6.*8x8.*image_size'):
    source.materialise()


def test_corrupt_images_are_named_and_left_out(train_root, caplog):
  for name in ('cat/0.png', 'dog/3.png'):
    (train_root / 'train' / name).write_bytes(b'not an image')
  (train_root / 'train' / 'dog' / '4.png').unlink()
  (train_root / 'train' / 'dog' / '4.png').symlink_to('nowhere')
  source = sources.load(f'folder:{train_root}', validation_fraction=0)
  with caplog.at_level(logging.WARNING):
    arrays = source.materialise()
  good = [*range(1, 10), 100, 101, 102, 105, 106, 107, 108, 109]
  assert values(arrays) == good
  assert arrays.labels.tolist() == [v // 100 for v in good]
  for name in ('cat/0.png', 'dog/3.png', 'dog/4.png'):
    assert name in caplog.text


def test_too_many_corrupt_images(train_root):
  for i in range(3):
    (train_root / 'train' / 'cat' / f'{i}.png').write_bytes(b'')

  def load(limit):
    return sources.load(f'folder:{train_root}', max_bad_images=limit, image_size=8,
                        validation_fraction=0).materialise()

  assert len(load(3)) == 17
  with pytest.raises(errors.UserError, match='max_bad_images, which is 2'):
    load(2)


def test_bad_folders(tmp_path):
  def refuse(sentence):
    with pytest.raises(errors.UserError, match=sentence):
      sources.load(f'folder:{tmp_path}/x')

  refuse('does not exist')
  (tmp_path / 'x').mkdir()
  refuse('is empty')
  (tmp_path / 'x' / 'cat').mkdir()
  refuse('class folder .*cat has no images')
  save(tmp_path / 'x' / 'cat' / '0.png')
  save(tmp_path / 'x' / 'loose.png')
  refuse(r'mislabelled.*loose\.png.*cat')


def test_a_class_too_small_to_cut(tmp_path):
  for name, n in (('cat', 3), ('dog', 1)):
    for i in range(n):
      save(tmp_path / name / f'{i}.png')
  with pytest.raises(errors.UserError, match='dog has one image.*train and test'):
    sources.load(f'folder:{tmp_path}')


def test_a_test_class_that_train_lacks(tmp_path):
  save(tmp_path / 'train' / 'cat' / '0.png')
  save(tmp_path / 'test' / 'cats' / '0.png')
  with pytest.raises(errors.UserError, match="cats has no counterpart.*'cat'"):
    folder.scan(str(tmp_path))
