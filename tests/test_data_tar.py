"""Tests tar shards against the files that were packed, and damaged shards."""

import io
import pickle
import tarfile

import image_folders
import numpy as np
import pytest
from PIL import Image

from ssl_jax import errors
from ssl_jax.data import datasets, tar

RNG = np.random.default_rng(0)


def png(pixels):
  out = io.BytesIO()
  Image.fromarray(pixels).save(out, 'PNG')
  return out.getvalue()


def pack(path, members, mode='w'):
  with tarfile.open(path, mode) as file:
    for name, data in members:
      info = tarfile.TarInfo(name)
      info.size = len(data)
      file.addfile(info, io.BytesIO(data))
  return path


@pytest.fixture
def pixels():
  return RNG.integers(0, 256, (12, 6, 5, 3), np.uint8)


@pytest.fixture
def shards(tmp_path, pixels):
  """Writes two shards of six samples; the last sample of each has no label."""
  for shard in range(2):
    members = []
    for i in range(6):
      key = f'{6 * shard + i:03}'
      label = [] if i == 5 else [(f'{key}.cls', b'dog' if i % 2 else b' cat\n')]
      members += [(f'{key}.json', b'{}'), *label, (f'{key}.seg.png', b'no image'),
                  (f'{key}.PNG', png(pixels[6 * shard + i]))]
    pack(tmp_path / f'shard-{shard:04}.tar', members)
  return f'tar:{tmp_path}/shard-{{0000..0001}}.tar'


def test_samples_have_their_pixels_and_labels(shards, pixels, caplog):
  image_folders.notices.log_once.cache_clear()
  with caplog.at_level('INFO'):
    train, test = (datasets.load(shards, split, validation_fraction=0)
                   for split in ('train', 'test'))
  assert [f'{shards}: 10 training and 2 test images of 2 classes; 2 of them have no '
          'label'] == caplog.messages
  assert train.class_names == ('cat', 'dog') and len(train) == 10 and len(test) == 2
  for source in (train, test):
    found = source.read(np.arange(len(source)))
    for image, label, name in zip(found.images, found.labels, source.file_names,
                                  strict=True):
      i = int(name.removesuffix('.PNG'))
      np.testing.assert_array_equal(image, pixels[i])
      assert label == (-1 if i % 6 == 5 else i % 2)
    np.testing.assert_array_equal(found.labels, source.labels)
  assert train.image_names[0] == f'shard-0000.tar/{train.file_names[0]}'
  copy = pickle.loads(pickle.dumps(train))
  np.testing.assert_array_equal(copy.read(np.arange(3)).images,
                                train.read(np.arange(3)).images)


def test_splits_by_the_names_of_shards(tmp_path, pixels):
  for split, part in (('train', pixels[:8]), ('val', pixels[8:])):
    pack(tmp_path / f'{split}-0.tar',
         [(f'{i}.png', png(x)) for i, x in enumerate(part)])
  sizes = [len(datasets.load(f'tar:{tmp_path}', split)) for split in ('train', 'test')]
  assert sizes == [7, 4]  # a tenth of `train` is for validation


def test_bad_images_are_named(tmp_path, pixels):
  path = pack(tmp_path / 'a.tar', [('x/1.png', b'torn'), ('x/2.png', png(pixels[0]))])
  source = tar.Tar([str(path)], 'a', image_size=4, channels=3, max_bad_images=0)
  with pytest.raises(errors.UserError, match='a.tar/x/1.png, is not an image'):
    source.read(np.arange(2))
  source.skip_bad_images()
  assert source.read(np.arange(2)).mask.tolist() == [False, True]


def test_damaged_shards_are_refused(tmp_path, pixels):
  def refused(path, sentence):
    with pytest.raises(errors.UserError, match=sentence):
      datasets.load(f'tar:{path}')

  whole = pack(tmp_path / 'a.tar', [('1.png', png(pixels[0]))]).read_bytes()
  (tmp_path / 'cut.tar').write_bytes(whole[:540])
  refused(tmp_path / 'cut.tar', 'cut.tar (ends within 1.png|cannot be read)')
  pack(tmp_path / 'zip.tar', [('1.png', png(pixels[0]))], 'w:gz')
  refused(tmp_path / 'zip.tar', 'must be uncompressed first')
  pack(tmp_path / 'none.tar', [('1.txt', b'')])
  refused(tmp_path / 'none.tar', 'none.tar has no images; images end in .jpg')
