"""Tests that each image of a folder, list or data set gets its own vector."""

import csv

import image_folders
import numpy as np
import pytest
import stub_encoder
import tiny
from PIL import Image

import ssl_jax
from ssl_jax import errors
from ssl_jax.data import folder
from ssl_jax.evaluators import similar
from ssl_jax.jobs import embed


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  with stub_encoder.registered():
    yield tiny.pretrained(tmp_path_factory.mktemp('runs') / 'a',
                          model={'name': 'stub'}, train={'epochs': 0})


def embedded(run, tmp_path, data, **how):
  path = tmp_path / 'z.npz'
  vectors = embed.run(run, path, data=data, **how)
  with np.load(path) as found:
    np.testing.assert_array_equal(found['features'], vectors.features)
    assert found['file_names'].tolist() == list(vectors.file_names)
  return vectors


def test_class_folders_have_names_labels_and_splits(run, tmp_path):
  root = image_folders.write_images(tmp_path / 'images', 'cat', 'dog/brown', n=5)
  vectors = embedded(run, tmp_path, f'folder:{root}')
  assert sorted(vectors.file_names) == sorted(
      [f'cat/{i}.png' for i in range(5)] + [f'dog/brown/{i}.png' for i in range(5)])
  assert vectors.label_names == [name.split('/')[0] for name in vectors.file_names]
  test = set(folder.scan(str(root))['test'].paths)
  assert {str(root / name) for name, split in zip(
      vectors.file_names, vectors.splits, strict=True) if split == 'test'} == test
  assert str(run) in vectors.origin['encoder'] and vectors.origin['step'] == 0
  want = ssl_jax.load(run).embed([root / name for name in vectors.file_names])
  np.testing.assert_allclose(vectors.features, want, atol=1e-6)


def test_undecodable_images_have_no_row_and_are_named(run, tmp_path):
  root = tmp_path / 'flat'
  for i in range(30):
    image_folders.save(root / f'{i:02}.png', 8 * i)
  for i in range(0, 30, 2):  # more than a training would skip
    (root / f'{i:02}.png').write_text('no image')
  vectors = embedded(run, tmp_path, f'folder:{root}', batch_size=8)
  assert vectors.file_names == [f'{i:02}.png' for i in range(1, 30, 2)]
  assert vectors.bad_images == [f'{i:02}.png' for i in range(0, 30, 2)]
  assert (vectors.labels == -1).all() and vectors.class_names == ()
  want = ssl_jax.load(run).embed([root / name for name in vectors.file_names])
  np.testing.assert_allclose(vectors.features, want, atol=1e-6)
  text = embed.show(vectors, 'z.npz')
  assert 'z.npz: 15 vectors of 6 numbers (train 15; no labels)' in text
  assert '15 images do not decode and have no vector:\n  00.png\n  02.png\n' in text


def test_a_list_of_files_keeps_its_order(run, tmp_path):
  root = image_folders.write_images(tmp_path / 'images', 'a', 'b', n=2)
  files = [str(root / name) for name in ('b/1.png', 'gone.png', 'a/0.png')]
  (tmp_path / 'list.txt').write_text('\n'.join(files) + '\n\n')
  vectors = embedded(run, tmp_path, f'files:{tmp_path / "list.txt"}')
  assert vectors.file_names == [files[0], files[2]]
  assert vectors.bad_images == [files[1]] and vectors.splits == ['train'] * 2
  with pytest.raises(errors.UserError, match='none.txt cannot be read'):
    embedded(run, tmp_path, f'files:{tmp_path / "none.txt"}')


def test_the_data_of_the_training_are_the_default(run, tmp_path):
  vectors = embedded(run, tmp_path, None)
  assert vectors.splits == ['train'] * 80 + ['test'] * 20
  assert vectors.file_names[:3] == ['0', '1', '2']
  digits = embedded(run, tmp_path, 'digits', endpoint='stage1', pool=2)
  assert digits.features.shape == (1797, 24) and len(digits.class_names) == 10


def test_near_duplicates_and_outliers_are_named(run, tmp_path):
  rng = np.random.default_rng(0)
  for i in range(6):
    pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
    for name in ('a', 'b')[:1 + (i == 2)]:
      Image.fromarray(pixels).save(tmp_path / f'{i}{name}.png')
  vectors = embedded(run, tmp_path, f'folder:{tmp_path}')
  lines = embed.compare(vectors, tmp_path / 'z.npz', near_duplicates=0.99999,
                        outliers=2)
  assert lines[0].endswith('1 pairs of images with a cosine similarity of at least '
                           '0.99999')
  read = lambda name: [*csv.reader((tmp_path / name).open())]
  assert read('z_near_duplicates.csv') == [
      ['first', 'second', 'similarity'], ['2a.png', '2b.png', '1.000000']]
  (_, (first, _), (second, _)) = read('z_outliers.csv')
  chosen, _ = similar.outliers(vectors.features, 2)
  assert [first, second] == [vectors.file_names[i] for i in chosen]


def test_a_folder_of_bad_images_alone_is_one_sentence(run, tmp_path):
  (tmp_path / 'bad').mkdir()
  (tmp_path / 'bad' / 'a.png').touch()
  with pytest.raises(errors.UserError, match=r'no image of .*bad decodes \(a.png'):
    embed.run(run, tmp_path / 'z.npz', data=f'folder:{tmp_path / "bad"}')
  assert not (tmp_path / 'z.npz').exists()


def test_images_on_a_canvas_are_embedded_as_the_training_saw_them(tmp_path):
  root = tmp_path / 'images'
  for i, size in enumerate([(30, 12), (9, 16), (8, 8)] * 6):
    image_folders.save(root / f'{i:02}.png', 10 * i, size)
  with stub_encoder.registered():
    run = tiny.pretrained(
        tmp_path / 'run', model={'name': 'stub'}, train={'epochs': 0},
        data={'name': f'folder:{root}', 'image_size': 16, 'canvas': True},
        augment={'recipe': 'crop_flip', 'size': 8})
    vectors = embedded(run, tmp_path, None)
    listed = ssl_jax.load(run).embed([root / name for name in vectors.file_names])
  np.testing.assert_allclose(listed, vectors.features, atol=1e-6)
