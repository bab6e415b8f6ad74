"""A folder per run: config.json says what it is, result.json that it is done."""

import json
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any

import jax

from ssl_jax import config as config_lib
from ssl_jax import errors

# What may change between two calls that go on with the same run.
FREE_SECTIONS = ('log',)


def prepare(folder: pathlib.Path | str, config: Mapping[str, Any]) -> pathlib.Path:
  """Makes the folder and records the resolved config in it.

  Raises:
    errors.UserError: the folder cannot be written, or it belongs to a run with
      another config; the first fields that differ are named.
  """
  folder = writable(folder)
  path = folder / 'config.json'
  if path.exists():
    changed = config_lib.difference(_identity(json.loads(path.read_text())),
                                    _identity(config))
    if changed:
      more = f' and {len(changed) - 3} more' if len(changed) > 3 else ''
      raise errors.UserError(
          f'{folder} belongs to a run with another config ({"; ".join(changed[:3])}'
          f'{more}); choose another --workdir or delete this one')
  if jax.process_index() == 0:
    write_json(path, config)
  return folder


def writable(folder: pathlib.Path | str) -> pathlib.Path:
  """Makes the folder; its absolute path.

  Raises:
    errors.UserError: it cannot be made or written.
  """
  folder = pathlib.Path(folder).absolute()
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
      pass
  except OSError as e:
    raise errors.UserError(
        f'--workdir={folder} cannot be written ({e.strerror}); choose another') from e
  return folder


def _identity(config: Mapping[str, Any]) -> dict[str, Any]:
  return {k: v for k, v in config_lib.plain(config).items() if k not in FREE_SECTIONS}


def finished(folder: pathlib.Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
  """The result in `folder`, if it was made with the same config."""
  try:
    saved = json.loads((folder / 'result.json').read_text())
  except (OSError, json.JSONDecodeError):
    return None
  same = not config_lib.difference(_identity(saved['config']), _identity(config))
  return saved['result'] if same else None


def write_result(folder: pathlib.Path, config: Mapping[str, Any],
                 result: Mapping[str, Any]) -> None:
  """Marks the run as done. Process 0 writes, atomically."""
  if jax.process_index() == 0:
    write_json(folder / 'result.json', {'config': config_lib.plain(config),
                                    'result': dict(result)})


def write_json(path: pathlib.Path, content: Any) -> None:
  """Writes atomically: a reader sees the old file or the new one."""
  partial = path.with_suffix('.partial')
  partial.write_text(json.dumps(content, indent=1) + '\n')
  partial.replace(path)


def provenance() -> dict[str, str]:
  """Where a figure comes from: commit of the code, hardware, versions."""
  device = jax.devices()[0]
  git = subprocess.run(['git', 'describe', '--always', '--dirty'], text=True,
                       cwd=pathlib.Path(__file__).parent, capture_output=True)
  hardware = (f'{os.cpu_count()} CPU cores' if device.platform == 'cpu'
              else f'{jax.device_count()} x {device.device_kind}')
  return {'commit': git.stdout.strip() or 'not a git checkout', 'hardware': hardware,
          'jax': jax.__version__}
