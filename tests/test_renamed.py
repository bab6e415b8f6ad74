"""Tests former names: saved configs are upgraded, written ones get an error."""

import pytest

from ssl_jax import config as config_lib
from ssl_jax import config_file, errors, renamed
from ssl_jax.data import datasets
from ssl_jax.jobs import evaluate, workdir
from ssl_jax.train import training

OLD = {
    'data': {'name': 'digits', 'labels': {'fraction': 0.1}, 'examples_fraction': 0.5},
    'train': {'epochs': 1, 'encoder_chunks': 2, 'monitor_endpoint': 'stage1'},
    'dataset': {'fingerprint': {'labels': 'abc'}},
    'protocol': {'name': 'nearest'}}
NEW = {
    'data': {'name': 'digits', 'label_subset': {'fraction': 0.1}, 'subsample': 0.5},
    'train': {'epochs': 1, 'grad_cache_chunks': 2, 'online_endpoint': 'stage1'},
    'dataset': {'fingerprint': {'labels': 'abc'}},
    'protocol': {'name': 'nn1'}}


def test_saved_configs_get_the_present_names():
  assert renamed.upgrade(OLD) == NEW == renamed.upgrade(NEW)
  assert renamed.upgrade({'pretrained': OLD})['pretrained'] == NEW


def test_a_run_of_an_earlier_version_is_the_same_run():
  assert workdir.changes(OLD, NEW) == []
  assert workdir.changes({**OLD, 'seed': 1}, NEW) == ["seed: 1 -> 'absent'"]


@pytest.mark.parametrize('target, section, fields, message', [
    (datasets.DataConfig, 'data', {'name': 'digits', 'labels': {}},
     'config.data.labels is now called config.data.label_subset; rename it'),
    (training.TrainConfig, 'train', {'epochs': 1, 'encoder_chunks': 2},
     'config.train.encoder_chunks is now called config.train.grad_cache_chunks')])
def test_an_old_field_is_told_its_new_name(target, section, fields, message):
  with pytest.raises(errors.UserError, match=f'^{message}'):
    config_lib.build(target, fields, section)


def test_an_old_protocol_is_told_its_new_name():
  with pytest.raises(errors.UserError, match="'resplit', which is now called 'logis"):
    evaluate.parse({'protocol': {'name': 'resplit'}})


@pytest.mark.parametrize('old, new', renamed.CONFIG_FILES.items())
def test_an_old_config_file_is_told_its_new_name(old, new):
  with pytest.raises(errors.UserError, match=f'is now called configs/studies/{new}'):
    config_file.load(f'configs/studies/{old}')
  assert (config_file.ROOT / 'configs' / 'studies' / new).is_file()
