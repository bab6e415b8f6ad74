"""Checkpoints: `state` to go on training, `encoder` to use, `config` to know.

A checkpoint is written beside its final name and renamed, so a kill leaves
the previous one. Everything needed to use the encoder, preprocessing included,
is inside.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging

from ssl_jax import errors

Tree = Any
# What earlier versions called the fields of `TrainState.variables`.
_FORMER_NAMES = {'non_trainable': 'slow'}


def abstract(tree: Tree, sharding: jax.sharding.Sharding) -> Tree:
  """The shapes and dtypes of `tree`, to be restored onto `sharding`."""
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


class Checkpoints:
  """The checkpoints of one run, newest last."""

  def __init__(self, folder: pathlib.Path | str, *, max_to_keep: int = 2):
    self._folder = pathlib.Path(folder).absolute()
    self._manager = ocp.CheckpointManager(
        self._folder,
        options=ocp.CheckpointManagerOptions(
            max_to_keep=max_to_keep, enable_async_checkpointing=True))

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *unused: Any) -> None:
    self._manager.close()

  def steps(self) -> list[int]:
    return sorted(self._manager.all_steps())

  def save(self, step: int, state: Tree, encoder: Tree,
           config: Mapping[str, Any]) -> None:
    """Starts to write; returns once the arrays are safe to donate."""
    if step in self.steps():
      return
    self._manager.save(step, args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        encoder=ocp.args.StandardSave(encoder),
        config=ocp.args.JsonSave(dict(config))))

  def restore_latest(self, abstract_state: Tree) -> Tree | None:
    """The newest state that can be read, or None where there is none at all.

    A checkpoint that cannot be read is named in the log, removed, and the one
    before it is tried.

    Raises:
      errors.UserError: there are checkpoints and none can be read.
    """
    steps = self.steps()
    for step in reversed(steps):
      try:
        return self._restore(step, abstract_state)
      except Exception as e:  # Orbax raises many kinds for a damaged file.
        logging.warning('Checkpoint %d in %s cannot be read (%s); falling back to '
                        'the one before it.', step, self._folder, _first_line(e))
        unreadable = e
      self._manager.delete(step)
    if steps:
      raise errors.UserError(
          f'none of the checkpoints in {self._folder} can be read (the last error: '
          f'{_first_line(unreadable)}); start in an empty --workdir')
    return None


  def _restore(self, step: int, abstract_state: Tree) -> Tree:
    """Reads a state, also where its fields were saved under former names."""
    restore = lambda target: self._manager.restore(step, args=ocp.args.Composite(
        state=ocp.args.StandardRestore(target)))['state']
    saved = ocp.StandardCheckpointHandler().metadata(
        self._folder / str(step) / 'state').tree.get('variables', {})
    former = {new: old for new, old in _FORMER_NAMES.items() if old in saved}
    if not former:
      return restore(abstract_state)
    variables = abstract_state.variables
    names = {field.name: former.get(field.name, field.name)
             for field in dataclasses.fields(variables)}
    state = restore(abstract_state.replace(
        variables={old: getattr(variables, new) for new, old in names.items()}))
    return state.replace(variables=variables.replace(
        **{new: state.variables[old] for new, old in names.items()}))


def read_config(folder: pathlib.Path | str) -> tuple[int, dict[str, Any]]:
  """The step and the config of the newest checkpoint under `folder`.

  Raises:
    errors.UserError: there is no readable checkpoint.
  """
  with _reader(folder) as manager:
    for step in sorted(manager.all_steps(), reverse=True):
      try:
        restored = manager.restore(step, args=ocp.args.Composite(
            config=ocp.args.JsonRestore()))
        return step, restored['config']
      except Exception as e:
        logging.warning('Checkpoint %d in %s cannot be read (%s).', step, folder,
                        _first_line(e))
  raise errors.UserError(
      f'{folder} holds no readable checkpoint; give the workdir of a '
      'pre-training run, or its folder `checkpoints`')


def restore_encoder(folder: pathlib.Path | str, step: int,
                    abstract_encoder: Tree) -> Tree:
  """The `encoder` item alone, on whatever devices `abstract_encoder` names.

  Raises:
    errors.UserError: the saved arrays are not those of this architecture.
  """
  with _reader(folder) as manager:
    try:
      return manager.restore(step, args=ocp.args.Composite(
          encoder=ocp.args.StandardRestore(abstract_encoder)))['encoder']
    except ValueError as e:
      raise errors.UserError(
          f'the encoder in {folder} at step {step} does not fit the architecture '
          f'its config names ({_first_line(e)}); was it saved by another version?'
      ) from e


def locate(path: pathlib.Path | str) -> pathlib.Path:
  """Accepts a workdir or its `checkpoints`; returns the latter.

  Raises:
    errors.UserError: neither is there.
  """
  path = pathlib.Path(path).absolute()
  for folder in (path / 'checkpoints', path):
    if folder.is_dir() and any(p.name.isdigit() for p in folder.iterdir()):
      return folder
  raise errors.UserError(
      f'--checkpoint={path} holds no checkpoint; give the --workdir of a '
      'pre-training run')


def newest_step(folder: pathlib.Path | str) -> int:
  """Of the checkpoints that `locate` has found, whether or not they can be read."""
  return max(int(p.name) for p in pathlib.Path(folder).iterdir() if p.name.isdigit())


def _reader(folder: pathlib.Path | str) -> ocp.CheckpointManager:
  return ocp.CheckpointManager(
      pathlib.Path(folder).absolute(),
      options=ocp.CheckpointManagerOptions(create=False))


def _first_line(e: Exception) -> str:
  lines = str(e).strip().splitlines()
  return f'{type(e).__name__}: {lines[0][:160] if lines else ""}'
