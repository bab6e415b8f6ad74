"""Manages the folder of a run: config.json identifies it, result.json ends it."""

import datetime
import hashlib
import json
import pathlib
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import jax
from absl import logging

from ssl_jax import errors, jsonl, plain_config, renamed
from ssl_jax.parallel import processes
from ssl_jax.train import encoder as encoder_lib

# Sections that may change between two calls that continue the same run.
FREE_SECTIONS = ('log',)
# Seconds within which a host must see a file that another host wrote. NFS caches for up
# to half a minute that a file does not exist.
VISIBLE_WITHIN = 60
_SCORES = {'top1': 'top-1', 'mean_per_class': 'mean per class'}  # names for people


def prepare(folder: pathlib.Path | str, config: Mapping[str, Any]) -> pathlib.Path:
  """Makes the folder of a run; returns its absolute path.

  Raises:
    errors.UserError: the folder cannot be written, it belongs to a run with another
      config, which called `claim` (the first fields that differ are named), or it is
      not the same folder for all processes.
  """
  with processes.fail_together():
    folder = writable(folder)
  _check_shared(folder)
  path = folder / 'config.json'
  # All processes use what process 0 sees.
  claimed = processes.allgather_text(str(path.exists()))[0] == 'True'
  with processes.fail_together():
    if claimed:
      _wait_for(path)
      _check_same_run(path, config)
  return folder


def claim(folder: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Records in config.json which run a folder belongs to; all processes must call it.

  A run calls it when its first step is done. If it fails before that, a command with a
  corrected config can use the same folder.

  Raises:
    errors.UserError: a process does not see the file that process 0 wrote.
  """
  with processes.fail_together():
    if jax.process_index() == 0:
      write_json(folder / 'config.json', config)
  with processes.fail_together():
    _wait_for(folder / 'config.json')


def _check_shared(folder: pathlib.Path) -> None:
  """Raises `errors.UserError` unless all processes see one file in `folder`."""
  if jax.process_count() == 1:
    return
  # A new name each time, so that no host has cached that the file does not exist.
  path = folder / f'.{processes.allgather_text(uuid.uuid4().hex)[0]}'
  with processes.fail_together():
    if jax.process_index() == 0:
      path.touch()
  try:
    with processes.fail_together():
      _wait_for(path)
  finally:
    if jax.process_index() == 0:
      path.unlink()


def _check_same_run(path: pathlib.Path, config: Mapping[str, Any]) -> None:
  changed = changes(json.loads(path.read_text()), config)
  if changed:
    raise errors.UserError(
        f'{path.parent} belongs to a run with another config '
        f'({plain_config.summary(changed)}); choose another --workdir or delete this '
        'one')


def _wait_for(path: pathlib.Path) -> None:
  """Waits until this process sees a file that process 0 wrote."""
  deadline = time.monotonic() + VISIBLE_WITHIN
  while not path.exists():
    if time.monotonic() > deadline:
      raise errors.UserError(
          f'{path.name}, which process 0 wrote, is not in --workdir={path.parent}; '
          'choose a folder that all hosts share')
    time.sleep(0.5)


def writable(folder: pathlib.Path | str) -> pathlib.Path:
  """Makes the folder and returns its absolute path, or raises `errors.UserError`."""
  folder = pathlib.Path(folder).absolute()
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
      pass
  except OSError as e:
    raise errors.UserError(
        f'--workdir={folder} cannot be written ({e.strerror}); choose another') from e
  return folder


def run_once(folder: pathlib.Path | str, config: Mapping[str, Any],
             work: Callable[[pathlib.Path], dict[str, Any]],
             resumable: bool = True) -> dict[str, Any]:
  """Returns the result in `folder`, and does `work` first if it has no result.

  A result of other settings is never replaced. If a result is of the same settings but
  of another encoder, an error is raised for `resumable` work, because the folder has
  other files of that encoder. Otherwise that result is renamed.

  Args:
    folder: the folder of the run.
    config: the plain config. If the run uses an encoder, its field `encoder` is the
      result of `train.encoder.identify_if_there`.
    work: receives the absolute folder, and returns the result, which must be JSON.
    resumable: whether `work` continues from the files of an earlier call.

  Raises:
    errors.UserError: the folder belongs to another run, the encoder does not exist and
      no result does, or `work` fails.
  """
  folder = pathlib.Path(folder).absolute()
  with processes.fail_together():
    saved = _saved(folder)
    if done := saved is not None and not changes(saved['config'], config, saved):
      logging.info(_finished(folder, saved, config))
    elif saved is not None:
      _check_replaceable(folder, saved, config, resumable)
    if not done and _encoder_is_gone(config):
      encoder_lib.identify(config['encoder']['path'])  # raises the error
    if not done and not resumable:
      if (folder / 'config.json').exists():  # written by a training
        _check_same_run(folder / 'config.json', config)
      writable(folder)
  if done:
    return saved['result']
  if resumable:
    prepare(folder, config)
  result = work(folder)
  if saved is not None and jax.process_index() == 0:
    _set_aside(folder, saved)
  write_result(folder, config, result)
  return result


def finished(folder: pathlib.Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
  """Returns the result in `folder` if it is that of `config`, and None otherwise."""
  saved = _saved(folder)
  same = saved is not None and not changes(saved['config'], config, saved)
  return saved['result'] if same else None


def changes(old: Mapping[str, Any], new: Mapping[str, Any],
            saved: Mapping[str, Any] | None = None) -> list[str]:
  """Names the differences by which two configs are different runs: `'seed: 0 -> 1'`.

  Args:
    old: the plain config of the run that a folder belongs to.
    new: the plain config of the run that is to use the folder.
    saved: the content of result.json, if `old` is from there. Early versions did not
      write `encoder` to the config; the step in the result is compared instead.
  """
  changed = plain_config.difference(_settings(old), _settings(new))
  was, now = old.get('encoder'), new.get('encoder')
  if not now or _encoder_is_gone(new):
    return changed
  step = saved['result'].get('step') if saved else None
  if was is None:
    return changed + ([] if step in (None, now['step']) else
                      [f'encoder: step {step} -> {_encoder(now)}'])
  same = all(was.get(k) == now[k] for k in ('step', 'digest'))
  return changed + ([] if same else [f'encoder: {_encoder(was)} -> {_encoder(now)}'])


def other_settings(folder: pathlib.Path, config: Mapping[str, Any]) -> list[str]:
  """Names the settings that differ between `config` and the result in `folder`."""
  saved = _saved(folder)
  return plain_config.difference(_settings(saved['config']),
                                 _settings(config)) if saved else []


def name_of_settings(config: Mapping[str, Any]) -> str:
  """Returns 6 characters that identify the settings without the encoder."""
  settings = dict(sorted(plain_config.flatten(_settings(config))))
  return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:6]


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the part of a config that must not change within a run.

  The encoder is compared separately. A field of `data` that is None equals one that is
  absent. A run that a study refers to is compared by its encoder, not by its folder.
  """
  same = {k: v for k, v in renamed.upgrade(config).items()
          if k not in (*FREE_SECTIONS, 'encoder')}
  if 'data' in same:
    same['data'] = {k: v for k, v in (same['data'] or {}).items() if v is not None}
  if 'checkpoint' in same.get('pretrain', {}):
    same['pretrain'] = {k: v for k, v in same['pretrain'].items()
                        if k not in ('checkpoint', 'step')}
  return same


def _encoder_is_gone(config: Mapping[str, Any]) -> bool:
  return 'digest' not in config.get('encoder', {'digest': None})


def _encoder(identity: Mapping[str, Any]) -> str:
  return (f'step {identity.get("step")} of {identity["path"]} '
          f'({identity.get("digest", "unknown")})')


def _saved(folder: pathlib.Path) -> dict[str, Any] | None:
  """Reads result.json; returns None if it does not exist or cannot be read."""
  try:
    return json.loads((folder / 'result.json').read_text())
  except (OSError, json.JSONDecodeError):
    return None


def _finished(folder: pathlib.Path, saved: Mapping[str, Any],
              config: Mapping[str, Any]) -> str:
  """Returns a message that a run is finished already."""
  step = saved['result'].get('steps', saved['result'].get('step'))
  facts = [f'step {step}' if step is not None else '', saved.get('finished', '')]
  details = f' ({", ".join(filter(None, facts))})' if any(facts) else ''
  gone = (f'; {config["encoder"]["path"]} has no encoder now, so it was not checked '
          'that the result is of that encoder' if _encoder_is_gone(config) else '')
  return f'{folder} is finished{details}; nothing was done{gone}'


def _check_replaceable(folder: pathlib.Path, saved: Mapping[str, Any],
                       config: Mapping[str, Any], resumable: bool) -> None:
  """Raises `errors.UserError` if the result in a folder must not be replaced."""
  changed = changes(saved['config'], config, saved)
  if resumable or not all(change.startswith('encoder: ') for change in changed):
    raise errors.UserError(
        f'{folder} has the result of another run ({plain_config.summary(changed)}); '
        'choose another --workdir, or delete this one')


def _set_aside(folder: pathlib.Path, saved: Mapping[str, Any]) -> None:
  """Renames the result of another encoder."""
  encoder = saved['config'].get('encoder', {})
  parts = ('result', f'step{saved["result"].get("step")}', encoder.get('digest'))
  kept = folder / ('_'.join(p for p in parts if p) + '.json')
  (folder / 'result.json').replace(kept)
  logging.info('%s had the result of another encoder, %s; it was renamed to %s', folder,
               encoder.get('path', 'which was not recorded'), kept.name)


def outcome(folder: pathlib.Path, config: Mapping[str, Any]) -> str:
  """Returns the main score of a finished run, such as 'top-1 93.31 % (test)'."""
  result = finished(folder, config) or {}
  if test := result.get('test'):
    name = result.get('score') or 'top1'
    return f'{_SCORES.get(name, name)} {100 * test[name]:.2f} % (test)'
  metrics = [m for m in jsonl.read(folder / 'metrics.jsonl') if 'train/loss' in m]
  if not metrics:
    return 'untrained' if result.get('steps') == 0 else 'done'
  probe = metrics[-1].get('probe/top1')
  return f'loss {metrics[-1]["train/loss"]:.4g}' + (
      '' if probe is None else f', probe top-1 {100 * probe:.1f} % (train)')


def write_result(folder: pathlib.Path, config: Mapping[str, Any],
                 result: Mapping[str, Any]) -> None:
  """Writes result.json atomically, on process 0 only; it marks the run as done.

  Args:
    folder: the folder of the run.
    config: the plain config of the run.
    result: the result, which must be JSON.
  """
  if jax.process_index() == 0:
    now = datetime.datetime.now(datetime.UTC).isoformat(sep=' ', timespec='minutes')
    write_json(folder / 'result.json', {
        'config': config, 'finished': now, 'result': dict(result)})


def write_json(path: pathlib.Path, content: Any) -> None:
  """Writes JSON atomically, so that a reader sees the old file or the new one."""
  partial = path.with_suffix('.partial')
  partial.write_text(json.dumps(content, indent=1) + '\n')
  partial.replace(path)
