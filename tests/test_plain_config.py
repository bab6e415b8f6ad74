"""Tests differences and merges of plain configs."""

from ml_collections import ConfigDict

from ssl_jax import plain_config


def test_plain_values_are_those_of_json():
  config = ConfigDict({'a': {'b': (1, 2)}})
  assert plain_config.plain(config) == {'a': {'b': [1, 2]}}
  assert type(plain_config.plain(config)['a']) is dict


def test_sections_are_merged_field_by_field():
  assert plain_config.merge({'a': {'b': 1, 'c': 2}, 'd': 3}, {'a': {'b': 4}}) == {
      'a': {'b': 4, 'c': 2}, 'd': 3}


def test_what_differs_between_two_configs():
  nan = float('nan')
  assert plain_config.difference(
      {'a': {'b': 1}, 'n': nan}, {'a': {'b': 2}, 'n': nan}) == ['a.b: 1 -> 2']
  # Configs of earlier versions have fields of data that are None.
  assert not plain_config.difference({'x': {'data': {'name': 'a', 'canvas': None}}},
                               {'x': {'data': {'name': 'a'}}})
  assert plain_config.difference({'freeze_until': None}, {}) == [
      "freeze_until: None -> 'absent'"]
