"""Tests that a linear probe trains nothing but the head."""

import pytest
import tiny

from ssl_jax import errors
from ssl_jax.jobs import linear_probe

# The encoder was trained on 4 classes; 65 of these 80 images are for training.
DATA = {'num_classes': 3, 'validation_fraction': 0.2}


def config(**fields):
  small = tiny.config()
  return {'seed': 0, 'features': {'batch_size': 16}, 'augment': {'recipe': 'none'},
          'data': DATA, **{k: small[k] for k in ('feed', 'optim', 'log')},
          'train': {'epochs': 0.3}, **fields}


def test_a_probe_trains_nothing_of_the_encoder():
  linear_probe.parse(config(freeze_until='head'))
  for first in (None, 'far'):
    with pytest.raises(errors.UserError, match='ssl_jax.finetune'):
      linear_probe.parse(config(freeze_until=first))
