"""Programs are compiled once per user, not once per process."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def compile_and_tell():
  """As a binary, in a process of its own: its cache, and what was found in it."""
  import jax
  import jax.numpy as jnp

  from ssl_jax import cli
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
  """With nothing set but the home of the user, or where caches are kept."""
  folder, *first = run(HOME=str(tmp_path))
  assert folder == str(tmp_path / '.cache' / 'ssl_jax')
  again, *second = run(XDG_CACHE_HOME=str(tmp_path / '.cache'))
  assert again == folder and first[1] > 0
  assert first == [0, first[1]] and second == [first[1], 0]


if __name__ == '__main__':
  from ssl_jax import cli
  cli.run(compile_and_tell)
