"""Tests when --help is requested, and what its text lists."""

import dataclasses
import sys
import types

import pytest

from ssl_jax import config, config_file, usage


@dataclasses.dataclass(frozen=True)
class Job:
  seed: int = config.field(0, low=0, doc='seed of everything.')
  note: str | None = config.internal('not for users')


@pytest.fixture(autouse=True)
def binary(monkeypatch):
  monkeypatch.setitem(sys.modules, '__main__', types.ModuleType('__main__', 'Does it.'))


@pytest.mark.parametrize('argument, asked', [
    ('--help', True), ('-h', True), ('--helpshort', True), ('--helpfull', False),
    ('--helpless', False)])
def test_requests(argument, asked):
  assert usage.requested(['binary', argument]) == asked
  assert not usage.requested([argument])  # the name of the binary


def test_a_binary_without_a_config_lists_its_flags():
  text = usage.text(None)
  assert text.startswith('Does it.\n\nFlags:\n') and '--helpfull' in text
  assert '--config' not in text


def test_fields_have_a_value_a_sentence_and_what_is_accepted(tmp_path):
  path = tmp_path / 'fast.py'
  path.write_text('import ml_collections\n\ndef get_config():\n'
                  '  return ml_collections.ConfigDict({"seed": 3})\n')
  text = usage.text(config_file.ConfigFlag(Job, str(path)))
  assert f'Fields, and their values in {path}:' in text
  lines = text.splitlines()
  at = lines.index('  --config.seed = 3')
  assert lines[at + 1].strip().startswith('Seed of everything. Accepted: a whole')
  assert 'note' not in text  # internal fields are not set by users


def test_a_config_that_does_not_load_is_named_below_the_flags(tmp_path):
  text = usage.text(config_file.ConfigFlag(Job, str(tmp_path / 'none.py')))
  assert 'none.py' in text.partition('Flags:')[2]


def test_lines_fit_a_terminal():
  assert max(map(len, usage.text(None).splitlines())) <= 88
