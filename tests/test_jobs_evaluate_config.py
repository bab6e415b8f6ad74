"""Tests which configs of an evaluation are accepted before an encoder is known."""

import pytest

from ssl_jax import errors, evaluators
from ssl_jax.jobs import evaluate_config


def config(**data):
  return {'protocol': {'name': 'nn1'}, 'data': data}


def test_absent_sections_have_their_defaults():
  spec = evaluate_config.parse({'protocol': {'name': 'nn1'}})
  assert spec.protocol == evaluators.EVALUATORS['nn1']()
  assert spec.features == evaluate_config.FeaturesConfig('pooled', 'mean', 512)
  assert spec.data == spec.preprocess == {}


def test_fields_of_the_encoder_that_are_replaced_are_those_that_are_set():
  fields = {**config(num_classes=3, image_size=None), 'preprocess': {'size': 4}}
  spec = evaluate_config.parse(fields)
  assert spec.data == {'num_classes': 3} and spec.preprocess == {'size': 4}


def test_a_label_rule_that_there_is_not_is_found_before_anything_is_loaded():
  with pytest.raises(errors.UserError, match="subset.per_clas is.*mean 'per_class'"):
    evaluate_config.parse(config(label_subset={'per_clas': 2}))
