"""Tests searches with a training that only records its arguments."""

import pytest

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.jobs import grid_search

GRID = {'learning_rates': [0.1, 0.01, 1.], 'weight_decays': [0., 1e-3]}
SCORES = {  # validation top-1, by learning rate and L2 coefficient
    (0.01, 0.): 0.5, (0.01, 0.1): 0.6, (0.1, 0.): 0.8, (0.1, 0.01): 0.8,
    (1., 0.): 0.8, (1., 1e-3): None}


def config(**fields):
  return {'seed': 0, 'optim': {'name': 'sgd', 'learning_rate': 9., 'momentum': 0.8},
          'data': {'validation_fraction': 0.1}, 'grid': GRID, **fields}


def run(fields, folder, train):
  space = config_lib.build(grid_search.SearchSpace, fields['grid'], 'grid')
  return grid_search.run(space, fields.get('score', 'top1'), fields, folder, 'tune',
                         train)


@pytest.fixture
def search(tmp_path):
  """Returns the result of a search, and the list of its trainings."""
  trained = []

  def train(fields, folder, label, splits):
    assert not list(folder.iterdir())  # a training claims its folder itself
    (folder / 'checkpoints').mkdir()
    optim = fields['optim']
    trained.append((folder.relative_to(tmp_path), fields, splits))
    top1 = SCORES[optim['learning_rate'], round(optim['weight_decay'], 9)]
    if top1 is None:
      raise errors.Diverged('the loss is nan')
    values = {'top1': top1, 'mean_per_class': 1 - optim['learning_rate']}
    return {'protocol': 'fine-tuned', **dict.fromkeys(('train', 'validation', 'test')),
            **{split: values for split in splits}}

  return lambda **fields: (
      run(config(**fields), tmp_path, train), trained)


def test_every_setting_is_trained_and_the_best_once_more_on_all_images(search):
  result, trained = search()
  assert len(trained) == 7
  assert {(f['optim']['learning_rate'], round(f['optim']['weight_decay'], 9))
          for _, f, _ in trained[:6]} == SCORES.keys()
  assert all(splits == ('validation',) and 'grid' not in fields and
             'refit' not in fields and fields['optim']['momentum'] == 0.8
             for _, fields, splits in trained[:6])
  folder, fields, splits = trained[-1]
  assert str(folder) == 'refit' and fields['refit'] and splits == ('train', 'test')
  # The lowest rate, then the lowest decay, wins among three equals.
  assert result['chosen'] == {'learning_rate': 0.1, 'weight_decay': 0.}
  assert fields['optim']['learning_rate'] == 0.1 and result['test']['top1'] == 0.8
  assert result['validation']['top1'] == 0.8 and result['at_edge'] == []
  assert [cell['validation_top1'] for cell in result['grid']] == [
      0.5, 0.6, 0.8, 0.8, 0.8, None]
  assert '6 settings' in result['protocol']


def test_chooses_by_the_score_of_the_config(search):
  result, _ = search(score='mean_per_class')
  assert result['chosen'] == {'learning_rate': 0.01, 'weight_decay': 0.}
  assert result['at_edge'] == ['learning_rate']
  assert result['grid'][0]['validation_mean_per_class'] == 0.99


def test_continues_where_it_stopped_and_deletes_checkpoints(search, tmp_path):
  first, trained = search()
  assert not list((tmp_path / 'grid').glob('*/checkpoints'))
  assert (tmp_path / 'refit' / 'checkpoints').is_dir()
  (tmp_path / 'refit' / 'checkpoints').rmdir()
  for part in ('grid/lr0.01_wd0', 'refit'):
    (tmp_path / part / 'result.json').unlink()
  again, _ = search()
  assert again == first
  assert [str(folder) for folder, _, _ in trained[7:]] == ['grid/lr0.01_wd0', 'refit']


def test_a_grid_that_diverges_throughout_is_one_sentence(search, monkeypatch):
  monkeypatch.setitem(SCORES, (1., 0.), None)
  with pytest.raises(errors.UserError, match='every setting of config.grid; lower'):
    search(grid={'learning_rates': [1.], 'weight_decays': [0., 1e-3]})


@pytest.mark.parametrize('fields, sentence', [
    ({'learning_rates': [0.]}, r'learning_rates is \[0.0\].*above 0'),
    ({'learning_rates': [0.1, 0.1]}, 'different numbers'),
    ({'learning_rates': 0.1}, 'accepted is a list'),
    ({'learning_rates': [0.1], 'weight_decays': [-1.]}, 'from 0 up'),
    ({'learning_rate': [0.1]}, "did you mean 'learning_rates'")])
def test_mistakes_are_named(fields, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    config_lib.build(grid_search.SearchSpace, fields, 'grid')


def test_a_grid_needs_validation_images():
  grid_search.check({'validation_fraction': 0.1})
  with pytest.raises(errors.UserError, match='validation_fraction is 0'):
    grid_search.check({'validation_fraction': 0})
