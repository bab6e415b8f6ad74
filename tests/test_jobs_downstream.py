"""Tests which images an encoder gets: inherited fields and existing splits."""

import dataclasses

import numpy as np
import pytest
import stub_encoder
import tiny
from PIL import Image

from ssl_jax import errors
from ssl_jax.jobs import downstream
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib


@pytest.fixture(scope='module')
def encoder(tmp_path_factory):
  with stub_encoder.registered():
    run = tiny.pretrained(tmp_path_factory.mktemp('runs') / 'run',
                          model={'name': 'stub'}, train={'epochs': 0})
    return encoder_lib.load(run, mesh_lib.data_mesh())


@pytest.fixture
def images(tmp_path):
  """Writes black images to some folders; returns a config that names all folders."""
  def write(*folders):
    for folder in folders:
      (tmp_path / folder).mkdir(parents=True)
      for i in range(4):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(
            tmp_path / folder / f'{i}.png')
    return {'name': f'folder:{tmp_path}/images'}
  return write


@pytest.mark.parametrize('own, fields', [
    ({}, {'name': 'synthetic', 'num_classes': 4, 'image_size': 8}),
    ({'num_classes': 3, 'data_dir': None},
     {'name': 'synthetic', 'num_classes': 3, 'image_size': 8}),
    ({'name': 'digits', 'label_subset': {'per_class': 1}},
     {'name': 'digits', 'image_size': 8, 'label_subset': {'per_class': 1}}),
    ({'name': 'digits', 'image_size': 16}, {'name': 'digits', 'image_size': 16})])
def test_what_another_data_set_inherits(own, fields):
  theirs = {'name': 'synthetic', 'num_classes': 4, 'image_size': 8, 'data_dir': None,
            'label_subset': {'fraction': 0.1}, 'validation_fraction': 0.2}
  assert downstream.inherit_fields(theirs, own) == fields


@pytest.mark.parametrize('folders, sizes', [
    (['images'], {'train': 4}),
    (['images/train', 'images/test'], {'train': 4, 'test': 4}),
    (['images/train', 'images/val', 'images/test'],
     {'train': 4, 'validation': 4, 'test': 4})])
def test_nothing_is_held_out_of_images_without_labels(encoder, images, folders, sizes):
  found = downstream.existing_splits(
      downstream.data_config(images(*folders), encoder), encoder)
  assert {split: len(source) for split, source in found.items()} == sizes


def test_a_split_that_is_not_there_is_an_error_unless_nothing_should_be_cut(
    encoder, images):
  data = downstream.data_config(images('images'), encoder)
  with pytest.raises(errors.UserError, match="no split 'test'; it has train, valid"):
    downstream.load_split(data, encoder, 'test')
  assert len(downstream.load_split(data, encoder, 'validation')) == 1
  data = dataclasses.replace(data, validation_fraction=0.)
  assert downstream.load_split(data, encoder, 'validation') is None
