"""Tests the cache of compiled programs, flags, and the config of a command line."""

import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

from ssl_jax import cli, errors

ROOT = pathlib.Path(__file__).parent.parent


def compile_and_print():
  """Compiles as a binary does; prints the cache folder and the events of the cache."""
  import jax
  import jax.numpy as jnp
  cli.setup_jax()
  events = []
  jax.monitoring.register_event_listener(lambda event, **unused: events.append(event))
  assert jax.jit(lambda x: jnp.cos(x) @ jnp.sin(x))(jnp.ones(7)) > 0
  print(json.dumps([jax.config.jax_compilation_cache_dir, *(
      events.count(f'/jax/compilation_cache/cache_{name}')
      for name in ('hits', 'misses'))]))


def run(**environment):
  inherited = {name: value for name, value in os.environ.items()
               if name not in ('JAX_COMPILATION_CACHE_DIR', 'XDG_CACHE_HOME')}
  done = subprocess.run(
      [sys.executable, __file__], text=True, capture_output=True, timeout=300,
      env={**inherited, 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT), **environment})
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout.splitlines()[-1])


def test_the_second_process_finds_what_the_first_has_compiled(tmp_path):
  """Only the home of the user or the folder of caches is set."""
  folder, *first = run(HOME=str(tmp_path))
  assert folder == str(tmp_path / '.cache' / 'ssl_jax')
  again, *second = run(XDG_CACHE_HOME=str(tmp_path / '.cache'))
  assert again == folder and first[1] > 0
  assert first == [0, first[1]] and second == [first[1], 0]


def flag(value):
  return types.SimpleNamespace(name='output', value=value)


def test_a_flag_that_is_needed_shows_an_example():
  assert cli.require(flag('x.npz'), 'a.npz') == 'x.npz'
  for missing in (None, ''):
    with pytest.raises(errors.UserError, match='^--output is missing.*--output=a.npz$'):
      cli.require(flag(missing), 'a.npz')


def test_an_output_file_needs_a_folder_that_exists(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert cli.output_file(flag(None)) is None
  assert cli.output_file(flag('x.npz')) == tmp_path / 'x.npz'
  for wrong in ('none/x.npz', str(tmp_path)):
    with pytest.raises(errors.UserError, match=f'^--output={wrong} cannot be written'):
      cli.output_file(flag(wrong))


def test_an_output_folder_may_exist_but_not_as_a_file(tmp_path):
  assert cli.output_file(flag(str(tmp_path)), folder=True) == tmp_path
  (tmp_path / 'x').write_text('')
  with pytest.raises(errors.UserError, match='name a folder in a folder that exists'):
    cli.output_file(flag(str(tmp_path / 'x')), folder=True)


def test_the_config_of_a_single_process_is_what_its_flag_reads():
  fields = {'seed': 3}
  assert cli.config(types.SimpleNamespace(read=lambda: fields)) == fields


if __name__ == '__main__':
  cli.run(compile_and_print)
