"""Tests the pictures of a small encoder: its file, its folder and its images."""

import json

import numpy as np
import pytest
import stub_encoder
import tiny
from PIL import Image

from ssl_jax import errors
from ssl_jax.jobs import pictures
from ssl_jax.report import pictures as pictures_lib

CONFIG = {'images': 10, 'bank': 16}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  with stub_encoder.registered():
    yield tiny.pretrained(tmp_path_factory.mktemp('runs') / 'run',
                          model={'name': 'stub'})


@pytest.fixture(scope='module')
def made(run, tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  return pictures.run(CONFIG, run, folder), pictures_lib.load(
      folder / pictures_lib.FILE), folder


def test_the_file_has_evenly_spaced_test_images_on_maps(made):
  result, file, _ = made
  assert file.indices.tolist() == [2 * i for i in range(10)]  # of 20 test images
  assert file.images.shape == (10, 8, 8, 3) and file.bank == 16
  assert result['maps'] == list(file.maps) and 'pca/pooled' in file.maps
  assert all(points.shape == (10, 2) for points in file.maps.values())


def test_numbers_agree_with_the_arrays(made):
  result, file, _ = made
  assert file.votes.shape == (10, 4)
  np.testing.assert_allclose(file.votes.sum(1), 1, rtol=1e-5)
  wrong = file.predictions != file.labels
  own = file.queries[len(file.queries) - int(file.own_queries):]
  assert wrong[own].all() and len(own) == min(4, wrong.sum())
  confident = np.sort(file.votes.max(1)[wrong])[::-1]
  np.testing.assert_allclose(file.votes.max(1)[own], confident[:len(own)])
  assert result['quality'] == {k: float(v) for k, v in file.quality.items()}
  assert set(file.feature_maps) == {'stage1'} and file.filters.shape == (6, 3, 3, 3)
  assert file.rotated is None


def test_a_finished_stage_is_not_done_again(made, run):
  result, _, folder = made
  (folder / pictures_lib.FILE).unlink()
  assert pictures.run(CONFIG, run, folder) == result
  assert not (folder / pictures_lib.FILE).exists()
  assert json.loads((folder / 'result.json').read_text())['config']['images'] == 10


def test_the_default_folder_and_the_lines_that_are_shown(made, run):
  assert pictures.default_workdir(run) == run / 'pictures'
  assert pictures.show(made[0]).startswith('10 test images on ')


def test_images_without_labels_have_maps_and_neighbours(run, tmp_path):
  for split in ('train', 'test'):
    (tmp_path / 'images' / split).mkdir(parents=True)
    for i in range(6):
      Image.new('RGB', (8, 8), (40 * i, 0, 0)).save(
          tmp_path / 'images' / split / f'{i}.png')
  config = {**CONFIG, 'data': {'name': f'folder:{tmp_path}/images'}}
  pictures.run(config, run, tmp_path / 'w')
  file = pictures_lib.load(tmp_path / 'w' / pictures_lib.FILE)
  assert file.votes is None and file.class_names == () and (file.labels == -1).all()
  assert file.neighbours.shape == (4, int(file.bank), 8, 8, 3)  # fewer than six


def test_a_mistake_in_the_config_is_named():
  with pytest.raises(errors.UserError, match='config.images is 1'):
    pictures.parse({'images': 1})
