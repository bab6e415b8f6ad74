"""A folder per run: config.json says what it is, result.json that it is done."""

import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import jax

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.train import mesh as mesh_lib
from ssl_jax.train import metrics

# What may change between two calls that go on with the same run.
FREE_SECTIONS = ('log',)
# Seconds in which a host must see what another one wrote: NFS remembers for up to
# half a minute that a file was not there.
_SEEN_WITHIN = 60
_SCORES = {'top1': 'top-1', 'mean_per_class': 'mean per class'}  # as lines name them


def prepare(folder: pathlib.Path | str, config: Mapping[str, Any]) -> pathlib.Path:
  """Makes the folder and records the resolved config in it.

  Raises:
    errors.UserError: the folder cannot be written, it belongs to a run with another
      config (the first fields that differ are named), or it is not the same folder
      for all processes.
  """
  with mesh_lib.together():
    folder = writable(folder)
    path = folder / 'config.json'
    if path.exists():
      _check_same_run(path, config)
    if jax.process_index() == 0:
      write_json(path, config)
  with mesh_lib.together():
    _wait_for(path)
  return folder


def _check_same_run(path: pathlib.Path, config: Mapping[str, Any]) -> None:
  changed = config_lib.difference(_identity(json.loads(path.read_text())),
                                  _identity(config))
  if changed:
    raise errors.UserError(
        f'{path.parent} belongs to a run with another config '
        f'({config_lib.summary(changed)}); choose another --workdir or delete this one')


def _wait_for(path: pathlib.Path) -> None:
  """Process 0 alone writes what `finished` and a resume read on every process."""
  deadline = time.monotonic() + _SEEN_WITHIN
  while not path.exists():
    if time.monotonic() > deadline:
      raise errors.UserError(
          f'{path.name}, which process 0 wrote, is not in --workdir={path.parent}; '
          'give a folder that all hosts share')
    time.sleep(0.5)


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
  """What makes a run another one; a field of `data` that is None says nothing."""
  same = {k: v for k, v in config_lib.plain(config).items() if k not in FREE_SECTIONS}
  data = {k: v for k, v in (same.get('data') or {}).items() if v is not None}
  return same | ({'data': data} if 'data' in same else {})


def finished(folder: pathlib.Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
  """The result in `folder`, if it was made with the same config."""
  try:
    saved = json.loads((folder / 'result.json').read_text())
  except (OSError, json.JSONDecodeError):
    return None
  same = not config_lib.difference(_identity(saved['config']), _identity(config))
  return saved['result'] if same else None


def outcome(folder: pathlib.Path, config: Mapping[str, Any]) -> str:
  """Tells in a few words what a finished run measured, 'top-1 93.31 % (test)'."""
  result = finished(folder, config) or {}
  if test := result.get('test'):
    name = result.get('score') or 'top1'
    return f'{_SCORES.get(name, name)} {100 * test[name]:.2f} % (test)'
  rows = [row for row in metrics.read(folder / 'metrics.jsonl') if 'train/loss' in row]
  if not rows:
    return 'untrained' if result.get('steps') == 0 else 'done'
  probe = rows[-1].get('probe/top1')
  return f'loss {rows[-1]["train/loss"]:.4g}' + (
      '' if probe is None else f', probe top-1 {100 * probe:.1f} % (train)')


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


def versions() -> dict[str, str]:
  """What must be equal on all processes, besides the config."""
  root, source = pathlib.Path(__file__).parent, hashlib.sha256()
  for path in sorted(root.rglob('*.py')):
    source.update(f'{path.relative_to(root)}\0'.encode() + path.read_bytes())
  return {'code': source.hexdigest()[:12], 'jax': jax.__version__}


def provenance() -> dict[str, str]:
  """Where a figure comes from: commit of the code, hardware, versions."""
  device = jax.devices()[0]
  git = subprocess.run(['git', 'describe', '--always', '--dirty'], text=True,
                       cwd=pathlib.Path(__file__).parent, capture_output=True)
  hardware = (f'{os.cpu_count()} CPU cores' if device.platform == 'cpu'
              else f'{jax.device_count()} x {device.device_kind}')
  return {'commit': git.stdout.strip() or 'not a git checkout', 'hardware': hardware,
          'jax': jax.__version__}
