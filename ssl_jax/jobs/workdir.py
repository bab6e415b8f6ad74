"""A folder per run: config.json says what it is, result.json that it is done."""

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
# Seconds within which a host must see a file that another one wrote: NFS remembers for
# up to half a minute that a file was absent.
VISIBLE_WITHIN = 60
_SCORES = {'top1': 'top-1', 'mean_per_class': 'mean per class'}  # as lines name them


def prepare(folder: pathlib.Path | str, config: Mapping[str, Any]) -> pathlib.Path:
  """Makes the folder, which may be empty or belong to the run of this config.

  It belongs to a run once that has called `claim`.

  Raises:
    errors.UserError: the folder cannot be written, it belongs to a run with another
      config (the first fields that differ are named), or it is not the same folder
      for all processes.
  """
  with processes.fail_together():
    folder = writable(folder)
  _check_shared(folder)
  path = folder / 'config.json'
  # As process 0 sees it.
  claimed = processes.allgather_text(str(path.exists()))[0] == 'True'
  with processes.fail_together():
    if claimed:
      _wait_for(path)
      _check_same_run(path, config)
  return folder


def claim(folder: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Records in config.json whose folder it is. All processes must call it.

  A run does so when its first step is done: up to then a mistake leaves nothing
  behind that a corrected command would be refused for.

  Raises:
    errors.UserError: a process does not see what process 0 wrote.
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
  # The name is new each time: no host can remember that there was no such file.
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
  """Waits until this process sees what process 0 wrote, as `finished` must."""
  deadline = time.monotonic() + VISIBLE_WITHIN
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


def run_once(folder: pathlib.Path | str, config: Mapping[str, Any],
             work: Callable[[pathlib.Path], dict[str, Any]],
             resumable: bool = True) -> dict[str, Any]:
  """Returns the result in `folder`, for which `work` is done unless it was before.

  A result of other settings is never replaced. One of the same settings but another
  encoder is refused where the work is `resumable`, since the folder is full of what
  belongs to it; otherwise it is kept under another name.

  Args:
    folder: of the run.
    config: plain; in `encoder` it holds `train.encoder.identify_if_there` of the
      encoder that the run is about, if any.
    work: called with the absolute folder, gives what can be written as JSON.
    resumable: whether `work` continues from the files of an earlier call.

  Raises:
    errors.UserError: the folder holds something else, the encoder is gone before
      there is a result, or `work` fails.
  """
  folder = pathlib.Path(folder).absolute()
  with processes.fail_together():
    saved = _saved(folder)
    if done := saved is not None and not changes(saved['config'], config, saved):
      logging.info(_finished(folder, saved, config))
    elif saved is not None:
      _check_replaceable(folder, saved, config, resumable)
    if not done and _encoder_is_gone(config):
      encoder_lib.identify(config['encoder']['path'])  # raises what is wrong with it
    if not done and not resumable:
      if (folder / 'config.json').exists():  # of a training
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
  """Returns the result in `folder`, or None unless it is that of `config`."""
  saved = _saved(folder)
  same = saved is not None and not changes(saved['config'], config, saved)
  return saved['result'] if same else None


def changes(old: Mapping[str, Any], new: Mapping[str, Any],
            saved: Mapping[str, Any] | None = None) -> list[str]:
  """Names what makes `new` another run than `old`: `'seed: 0 -> 1'`.

  Args:
    old: the config of what is in a folder.
    new: the config of what is to be done there.
    saved: result.json, where `old` is from there: what versions wrote that did not
      name the encoder in the config counts by the step in the result.
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
  """Names what differs between `config` and what the result in `folder` was made by."""
  saved = _saved(folder)
  return plain_config.difference(_settings(saved['config']),
                                 _settings(config)) if saved else []


def name_of_settings(config: Mapping[str, Any]) -> str:
  """Returns 6 characters that differ where settings do, whatever the encoder."""
  settings = dict(sorted(plain_config.flatten(_settings(config))))
  return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:6]


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
  """Drops from a config what may change within a run, and the encoder.

  A field of `data` that is None says nothing. A run that a study was given goes by
  its encoder and not by where it lies.
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
  """Reads result.json; None where there is none that can be read."""
  try:
    return json.loads((folder / 'result.json').read_text())
  except (OSError, json.JSONDecodeError):
    return None


def _finished(folder: pathlib.Path, saved: Mapping[str, Any],
              config: Mapping[str, Any]) -> str:
  """Says that there is nothing left to do."""
  step = saved['result'].get('steps', saved['result'].get('step'))
  facts = [f'step {step}' if step is not None else '', saved.get('finished', '')]
  said = f' ({", ".join(filter(None, facts))})' if any(facts) else ''
  gone = (f'; {config["encoder"]["path"]} no longer holds the encoder, so whether this '
          'is its result was not checked' if _encoder_is_gone(config) else '')
  return f'{folder} is finished{said}; nothing was done{gone}'


def _check_replaceable(folder: pathlib.Path, saved: Mapping[str, Any],
                       config: Mapping[str, Any], resumable: bool) -> None:
  """Raises `errors.UserError` where the result in a folder must stay."""
  changed = changes(saved['config'], config, saved)
  if resumable or not all(change.startswith('encoder: ') for change in changed):
    raise errors.UserError(
        f'{folder} holds the result of another run ({plain_config.summary(changed)}); '
        'choose another --workdir, or delete this one')


def _set_aside(folder: pathlib.Path, saved: Mapping[str, Any]) -> None:
  """Renames the result of another encoder."""
  encoder = saved['config'].get('encoder', {})
  parts = ('result', f'step{saved["result"].get("step")}', encoder.get('digest'))
  kept = folder / ('_'.join(p for p in parts if p) + '.json')
  (folder / 'result.json').replace(kept)
  logging.info('%s held the result of another encoder, %s; it is now %s', folder,
               encoder.get('path', 'which was not recorded'), kept.name)


def outcome(folder: pathlib.Path, config: Mapping[str, Any]) -> str:
  """Tells in a few words what a finished run measured, 'top-1 93.31 % (test)'."""
  result = finished(folder, config) or {}
  if test := result.get('test'):
    name = result.get('score') or 'top1'
    return f'{_SCORES.get(name, name)} {100 * test[name]:.2f} % (test)'
  rows = [row for row in jsonl.read(folder / 'metrics.jsonl') if 'train/loss' in row]
  if not rows:
    return 'untrained' if result.get('steps') == 0 else 'done'
  probe = rows[-1].get('probe/top1')
  return f'loss {rows[-1]["train/loss"]:.4g}' + (
      '' if probe is None else f', probe top-1 {100 * probe:.1f} % (train)')


def write_result(folder: pathlib.Path, config: Mapping[str, Any],
                 result: Mapping[str, Any]) -> None:
  """Marks the run as done. Process 0 writes, atomically."""
  if jax.process_index() == 0:
    now = datetime.datetime.now(datetime.UTC).isoformat(sep=' ', timespec='minutes')
    write_json(folder / 'result.json', {
        'config': config, 'finished': now, 'result': dict(result)})


def write_json(path: pathlib.Path, content: Any) -> None:
  """Writes atomically: a reader sees the old file or the new one."""
  partial = path.with_suffix('.partial')
  partial.write_text(json.dumps(content, indent=1) + '\n')
  partial.replace(path)
