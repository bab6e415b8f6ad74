"""Tests what a fine-tuning is assembled from; test_jobs_finetune.py runs it."""

import pytest

from ssl_jax.jobs import finetune_run
from ssl_jax.train import optim


def test_layer_decay_multiplies_the_rates_that_are_given():
  decayed = finetune_run.with_layer_decay(
      optim.Optim('sgd', multipliers={'head': 5., 'near': 2.}),
      ('near', 'far', 'head'), 0.2)
  assert decayed.name == 'sgd'
  assert decayed.multipliers == pytest.approx({'head': 5, 'far': 0.2, 'near': 0.08})
