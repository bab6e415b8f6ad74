"""Tests data sets of Hugging Face: files that pyarrow wrote, read against their pixels.
"""

import io
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from ssl_jax import errors
from ssl_jax.data import datasets, parquet

pyarrow = pytest.importorskip('pyarrow', reason='pip install pyarrow')
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), np.uint8)
NAMES = ['cat', 'dog', 'emu']
TYPES = {'img': {'_type': 'Image'}, 'id': {'dtype': 'int64', '_type': 'Value'},
         'fine': {'names': NAMES, '_type': 'ClassLabel'}}


def png(pixels):
  out = io.BytesIO()
  Image.fromarray(pixels).save(out, 'PNG')
  return out.getvalue()


def write(path, columns, types=None):
  from pyarrow import parquet as writer
  table = pyarrow.table(columns)
  if types:
    table = table.replace_schema_metadata(
        {'huggingface': json.dumps({'info': {'features': types}})})
  writer.write_table(table, path, row_group_size=3)
  return f'parquet:{path}'


def images(rows, path='{}.png'):
  return [{'bytes': png(PIXELS[i]), 'path': path and path.format(i)} for i in rows]


@pytest.fixture
def data_set(tmp_path):
  """Writes ten rows of train in two files and two of test, as Hugging Face does."""
  for name, rows in (('train-00000-of-00002', range(6)),
                     ('test-00000-of-00001', (10, 11)),
                     ('train-00001-of-00002', range(6, 10))):
    write(tmp_path / f'{name}.parquet', {
        'id': list(rows), 'fine': [i % 3 if i != 4 else -1 for i in rows],
        'img': images(rows)}, TYPES)
  return f'parquet:{tmp_path}/*.parquet'


def test_rows_have_their_pixels_labels_and_splits(data_set):
  train, test = (datasets.load(data_set, split, validation_fraction=0)
                 for split in ('train', 'test'))
  for source, rows in ((train, range(10)), (test, (10, 11))):
    found = source.read(np.arange(len(source)))
    np.testing.assert_array_equal(found.images, PIXELS[list(rows)])
    assert found.labels.tolist() == [i % 3 if i != 4 else -1 for i in rows]
    assert source.class_names == tuple(NAMES)
    assert list(source.file_names) == [f'{i}.png' for i in rows]
  copy = pickle.loads(pickle.dumps(train))
  np.testing.assert_array_equal(copy.read(np.array([7])).images[0], PIXELS[7])


def test_files_without_types(tmp_path):
  name = write(tmp_path / 'a.parquet', {
      'image': [png(x) for x in PIXELS[:5]], 'label': ['b', None, 'a', 'a', 'b']})
  train, test = (datasets.load(name, split, validation_fraction=0)
                 for split in ('train', 'test'))
  assert train.class_names == ('a', 'b') and sorted(test.labels) == [0, 1]
  assert -1 in train.labels and set(test.image_names) <= {
      f'a.parquet[{i}]' for i in (0, 2, 3, 4)}


def test_bad_images_are_named(tmp_path):
  rows = [{'bytes': None, 'path': 'gone.png'}, *images([1])]
  write(tmp_path / 'a.parquet', {'image': rows})
  source = parquet.Parquet([str(tmp_path / 'a.parquet')], 'a', image_size=4, channels=3,
                           max_bad_images=0)
  with pytest.raises(errors.UserError, match='gone.png, has no bytes'):
    source.read(np.arange(2))


def test_mistakes_are_reported(tmp_path):
  name = write(tmp_path / 'a.parquet', {'path': ['x.png'], 'label': [1]})
  with pytest.raises(errors.UserError, match=r'columns are path, label; .*files:'):
    datasets.load(name)
  (tmp_path / 'b.parquet').write_text('torn')
  with pytest.raises(errors.UserError, match='b.parquet cannot be read as a parquet'):
    datasets.load(f'parquet:{tmp_path}/b.parquet')
