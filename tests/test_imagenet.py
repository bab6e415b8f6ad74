"""Tests all jobs on a folder like ImageNet, with all kinds of image files."""

import collections
import io
import logging
import re

import numpy as np
import pytest
import stub_encoder
import tiny
from PIL import Image

from ssl_jax import errors, jsonl
from ssl_jax.data import datasets
from ssl_jax.jobs import evaluate, finetune, pretrain

SIDE = 16
TRAIN, VAL = (220, 20), (55, 5)  # good images, bad ones


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def photo(mode, colour, size, suffix, turned=False):
  """Returns an image of one colour as a file, its RGB colour and its upright size."""
  image = Image.new(mode, size, colour)
  if mode == 'P':
    image.putpalette([9, 8, 7] * colour + [60, 120, 240])
  exif = Image.Exif()
  if turned:
    exif[0x0112] = 6
  out = io.BytesIO()
  image.save(out, suffix, exif=exif, **{'quality': 95} if suffix == 'JPEG' else {})
  shown = {'RGB': lambda: colour, 'L': lambda: (colour,) * 3,
           'CMYK': lambda: tuple((255 - c) * (255 - colour[3]) / 255
                                 for c in colour[:3]),
           'P': lambda: (60, 120, 240), 'I;16': lambda: (colour >> 8,) * 3}[mode]()
  return out.getvalue(), shown, size[::-1] if turned else size


def odd(i):
  """Returns the i-th of twelve kinds of image, each of another size."""
  width, height = 5 + 7 * i, 3 + (11 * i) % 40
  return [
      lambda: photo('RGB', (200, 30, 90), (width, height), 'JPEG'),
      lambda: photo('RGB', (10, 220, 40), (height, width), 'JPEG'),
      lambda: photo('RGB', (250, 250, 0), (420 + width, 300), 'JPEG'),  # drafted
      lambda: photo('L', 77, (width, height), 'JPEG'),
      lambda: photo('CMYK', (0, 100, 200, 40), (width, height), 'JPEG'),
      lambda: photo('RGB', (1, 2, 3), (1, 1), 'JPEG'),
      lambda: photo('RGB', (90, 90, 200), (60 + width, 1), 'JPEG'),
      lambda: photo('RGB', (0, 128, 255), (30 + width, 20), 'JPEG', turned=True),
      lambda: photo('P', 3, (width, height), 'PNG'),
      lambda: photo('I;16', 40_000, (width, height), 'PNG'),
      lambda: photo('RGB', (30, 60, 90), (width, height), 'PNG'),  # named .JPEG too
      lambda: photo('RGB', (255, 255, 255), (16, 16), 'JPEG'),
  ][i % 12]()


def broken(i):
  whole = photo('RGB', (7, 7, 7), (64, 48), 'JPEG')[0]
  return [b'', whole[:len(whole) // 2], b'<html>not found</html>', whole[:3]][i % 4]


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
  """Returns the folder, and the colour and size of its good files by name."""
  root, shown = tmp_path_factory.mktemp('ilsvrc'), {}
  for split, (count, bad) in (('train', TRAIN), ('val', VAL)):
    for i in range(count + bad):
      synset = ('n01440764', 'n01443537', 'n01484850')[i % 3]
      path = root / split / synset / f'{split}_{synset}_{i}.JPEG'
      path.parent.mkdir(parents=True, exist_ok=True)
      data, *shown[path.name] = odd(i) if i < count else (broken(i), None, None)
      path.write_bytes(data)
  return root, {name: s for name, s in shown.items() if s[0] is not None}


def config(root, **data):
  small = tiny.config(epochs=1, knn_every_epochs=1, knn_k=3)
  data = {'name': f'folder:{root}', 'image_size': SIDE, 'canvas': True,
          'max_bad_images': TRAIN[1], **data}
  return {**small, 'model': {'name': 'stub'}, 'data': data,
          'feed': {'batch_size': 16, 'mode': 'streamed'},
          'augment': {'recipe': 'crop_flip', 'size': 8}}


@pytest.fixture(scope='module')
def trained(photos, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'simclr'
  lines, handler = [], logging.Handler()
  handler.emit = lambda record: lines.append(record.getMessage())
  logging.getLogger('absl').addHandler(handler)
  result = pretrain.run(config(photos[0]), workdir)
  logging.getLogger('absl').removeHandler(handler)
  return workdir, result, lines


def test_every_good_image_is_what_it_shows_and_the_rest_is_black(photos):
  root, shown = photos
  for split, bad in (('train', TRAIN[1]), ('test', VAL[1])):
    source = datasets.load(f'folder:{root}', split, image_size=SIDE, canvas=True,
                          validation_fraction=0, max_bad_images=bad)
    rows = source.read(np.arange(len(source)))
    assert (~rows.mask).sum() == len(source.bad.names) == bad
    for i in np.flatnonzero(rows.mask):
      colour, size = shown[source.file_names[i]]
      scale = min(1, SIDE / max(size))
      height, width = rows.valid_sizes[i]
      # A JPEG that is decoded at a part of its size rounds that up first.
      assert abs(height - scale * size[1]) <= 1 and abs(width - scale * size[0]) <= 1
      assert max(height, width) == min(SIDE, max(size))
      inside = rows.images[i, :height, :width].astype(int)
      assert np.abs(inside - np.rint(colour)).max() <= 4, source.file_names[i]
      assert rows.images[i].astype(int).sum() == inside.sum()


def test_training_names_every_bad_image_and_goes_on(trained, photos):
  workdir, result, lines = trained
  assert result['steps'] == 15 == sum(TRAIN) // 16
  bad = collections.Counter(re.search(r'train_n\d+_\d+\.JPEG', line)[0]
                            for line in lines if 'bad image' in line)
  assert len(bad) == TRAIN[1] and not set(bad) & set(photos[1])
  # In training, and in one of the splits that the online kNN encodes.
  assert min(bad.values()) == 2
  assert all(np.isfinite(row['train/loss'])
             for row in jsonl.read(workdir / 'metrics.jsonl') if 'train/loss' in row)


def test_evaluation_counts_the_good_images(trained, photos, tmp_path):
  result = evaluate.run(
      {'protocol': {'name': 'knn', 'k': 3}, 'features': {'batch_size': 16},
       'data': {'validation_fraction': 0.2}}, trained[0], tmp_path)
  assert result['train']['n'] + result['validation']['n'] == TRAIN[0]
  assert result['test']['n'] == VAL[0]
  assert np.isfinite(result['test']['top1'])


def test_fine_tuning_on_a_list_of_files(trained, photos, tmp_path):
  root, shown = photos
  names = [name for name in shown if name.startswith('train')][:9]
  (tmp_path / '1percent.txt').write_text('\n'.join(names))
  small = config(root)
  result = finetune.run(
      {'seed': 0, 'features': {'batch_size': 16}, 'augment': {'recipe': 'none'},
       'data': {'validation_fraction': 0,
                'label_subset': {'file_list': str(tmp_path / '1percent.txt')}},
       'feed': {**small['feed'], 'batch_size': 8}, 'optim': small['optim'],
       'log': small['log'], 'train': {'epochs': 1}}, trained[0], tmp_path / 'tuned')
  assert result['train']['n'] == 9 and result['validation'] is None
  assert result['test']['n'] == VAL[0]
  assert result['class_names'] == ['n01440764', 'n01443537', 'n01484850']


def test_too_many_bad_images_end_the_run(photos, tmp_path):
  with pytest.raises(errors.UserError, match='max_bad_images, which is 2'):
    pretrain.run(config(photos[0], max_bad_images=2), tmp_path)
