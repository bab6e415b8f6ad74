"""Tests the preparation of a data set by its name."""

import pytest
from PIL import Image

from ssl_jax import errors
from ssl_jax.jobs import prepare_data


@pytest.mark.parametrize('fields,sentence', [
    (dict(dataset='cifar'), "did you mean 'cifar10'"),
    (dict(dataset='folder', source='x'), '--name is missing'),
    (dict(dataset='folder', name='x'), '--source is missing'),
    (dict(dataset='folder', name='My Set', source='x'), "--name is 'My Set'"),
    (dict(dataset='folder', name='mine', source='/no/such'), 'does not exist'),
    (dict(dataset='cifar10', archive='/no/such'), 'archive /no/such does not exist'),
])
def test_a_mistake_is_named_in_the_message(tmp_path, fields, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    prepare_data.run(data_dir=str(tmp_path), **fields)


def test_it_says_where_the_data_set_is_and_how_to_train_on_it(tmp_path, monkeypatch):
  for split in ('train', 'test'):
    for name in ('cat', 'dog'):
      path = tmp_path / 'photos' / split / name
      path.mkdir(parents=True)
      Image.new('RGB', (4, 4)).save(path / '0.png')
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  sentence = prepare_data.run('folder', source=str(tmp_path / 'photos'), name='pets')
  assert sentence.startswith(f'pets is ready in {tmp_path}/tfds/pets/')
  assert f'TFDS_DATA_DIR={tmp_path}/tfds and --config.data.name=pets' in sentence
