"""Tests which configs of a fine-tuning are accepted before an encoder is known."""

import pytest
import tiny

from ssl_jax import errors, models
from ssl_jax.jobs import finetune_config


def config(**fields):
  small = tiny.config()
  return {'seed': 0, 'features': {'batch_size': 16}, 'augment': {'recipe': 'none'},
          **{k: small[k] for k in ('feed', 'optim')}, 'train': {'steps': 1}, **fields}


def test_absent_sections_have_their_defaults():
  spec = finetune_config.parse(config())
  assert spec.freeze_until == finetune_config.FREEZE_ENCODER and spec.grid is None
  assert spec.data == {} and spec.augment == {'recipe': 'none'}
  assert spec.head(3, dtype=float) == models.HEADS['linear'](3, dtype=float)


def test_fields_of_the_encoder_that_are_replaced_are_those_that_are_set():
  spec = finetune_config.parse(config(
      augment={'recipe': 'crop_flip', 'size': 4},
      data={'num_classes': 3, 'image_size': None}))
  assert spec.augment == {'recipe': 'crop_flip', 'size': 4}
  assert spec.data == {'num_classes': 3}


def test_a_grid_needs_images_to_choose_on():
  grid = {'learning_rates': [0.1]}
  assert finetune_config.parse(config(grid=grid)).grid.learning_rates == (0.1,)
  with pytest.raises(errors.UserError, match='validation_fraction is 0'):
    finetune_config.parse(config(grid=grid, data={'validation_fraction': 0}))


@pytest.mark.parametrize('fields, sentence', [
    ({'train': {}}, 'config.train.steps is .*set exactly one of them'),
    ({'train': {'epochs': 1, 'steps': 1}}, 'set exactly one of them'),
    ({'train': {'steps': 0}}, 'config.train.steps is 0'),
    ({'bn_momentum': 'atuo'}, "bn_momentum is 'atuo'"),
    ({'bn_momentum': 1.}, 'below 1'), ({'score': 'top2'}, "config.score is 'top2'"),
    ({'from_scratch': True}, "config.freeze_until is 'head'"),
    ({'grid': {'learning_rates': []}}, 'config.grid.learning_rates')])
def test_mistakes_that_need_no_encoder(fields, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    finetune_config.parse(config(**fields))
