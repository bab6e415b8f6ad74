"""Writes and reads checkpoints.

The items of a checkpoint are `state`, from which a training continues, `encoder` and
`config`. The last two suffice to use the encoder, preprocessing included. A checkpoint
is written under a temporary name and then renamed, so a process that is killed leaves
the previous one intact. One that is damaged or does not fit a run is never deleted.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from etils import epath

from ssl_jax import errors, renamed
from ssl_jax.compression import artefact
from ssl_jax.parallel import processes
from ssl_jax.train import resume, retention

Tree = Any
# Names that earlier versions used for fields of `TrainState.variables`.
_FORMER_NAMES = {'non_trainable': 'slow'}


def abstract(tree: Tree, sharding: jax.sharding.Sharding) -> Tree:
  """Returns the shapes and dtypes of `tree`, each with the sharding `sharding`."""
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


class Checkpoints:
  """Manages the checkpoints of one run.

  Args:
    folder: the folder of the checkpoints; the first save makes it.
    keep: decides which checkpoints are kept; None keeps the two newest.
  """

  def __init__(self, folder: pathlib.Path | str, *, keep: Any = None):
    self._folder = pathlib.Path(folder).absolute()
    self._keep = keep or retention.policy(2)
    # All processes must agree, because opening the folder is a collective operation.
    there = processes.allgather_text(str(self._folder.is_dir()))[0] == 'True'
    self._manager = self._open() if there else None

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, *unused: Any) -> None:
    """Waits until everything is written."""
    if self._manager is not None:
      self._manager.close()

  def steps(self) -> list[int]:
    """Returns the steps of all checkpoints, oldest first."""
    return sorted(self._manager.all_steps()) if self._manager else []

  def written(self) -> int | None:
    """Returns the newest step that is complete on disk; may be called in any thread."""
    if not self._folder.is_dir():
      return None
    return max((int(p.name) for p in self._folder.iterdir() if p.name.isdigit()),
               default=None)

  def save(self, step: int, state: Tree, encoder: Tree,
           config: Mapping[str, Any]) -> None:
    """Starts to write a checkpoint; returns when the arrays may be donated.

    Args:
      step: the number of training steps; nothing is done if it has a checkpoint.
      state: the training state.
      encoder: the variables of the encoder.
      config: the plain config of the run.
    """
    if step in self.steps():
      return
    if self._manager is None:
      self._manager = self._open()
    self._manager.save(step, args=ocp.args.Composite(
        state=ocp.args.StandardSave(state),
        encoder=ocp.args.StandardSave(encoder),
        config=ocp.args.JsonSave(dict(config))))

  def restore_latest(self, abstract_state: Tree,
                     dataset: Mapping[str, Any] | None = None) -> Tree | None:
    """Restores the newest readable state; returns None if no checkpoint exists.

    A checkpoint that cannot be read is named in the log, and the one before it is
    tried. When one is restored, the damaged ones are renamed to `<step>.damaged`, so
    that their steps can be saved again. Nothing is deleted.

    Args:
      abstract_state: the shapes, dtypes and shardings of the state of the run.
      dataset: `data.sources.Source.description` of the data of the run, which is
        compared with that in the checkpoint; None compares nothing.

    Raises:
      errors.UserError: a checkpoint is intact, but it is of other data or its arrays
        are not those of `abstract_state`; or none of the checkpoints can be read.
    """
    damaged = {}
    for step in reversed(self.steps()):
      state, reason = _attempt(lambda s=step: self._restore(s, abstract_state, dataset))
      if not reason:
        self._set_aside(damaged)
        return state
      logging.warning('Checkpoint %d in %s cannot be read (%s); trying the one before '
                      'it.', step, self._folder, reason)
      damaged[step] = reason
    if damaged:
      raise errors.UserError(
          f'none of the checkpoints in {self._folder} can be read (the last error: '
          f'{reason}); nothing was deleted; choose another --workdir to start from the '
          'beginning')
    return None

  def _restore(self, step: int, abstract_state: Tree,
               dataset: Mapping[str, Any] | None) -> Tree:
    """Raises `errors.UserError` for a misfit, any other error for a damaged file."""
    config = self._manager.restore(step, args=ocp.args.Composite(
        config=ocp.args.JsonRestore()))['config']
    if dataset is not None and 'dataset' in config:
      resume.check_data(config['dataset'], dataset)
    saved = self._manager.item_metadata(step)['state']
    if saved is None:
      raise OSError('its metadata cannot be read')
    former = {new: old for new, old in _FORMER_NAMES.items()
              if old in saved.tree.get('variables', {})}
    resume.check_tree(_renamed(saved.tree, former), abstract_state,
                      f'checkpoint {step} in {self._folder}')
    restore = lambda target: self._manager.restore(step, args=ocp.args.Composite(
        state=ocp.args.StandardRestore(target)))['state']
    if not former:
      return restore(abstract_state)
    variables = abstract_state.variables
    names = {field.name: former.get(field.name, field.name)
             for field in dataclasses.fields(variables)}
    state = restore(abstract_state.replace(
        variables={old: getattr(variables, new) for new, old in names.items()}))
    return state.replace(variables=variables.replace(
        **{new: state.variables[old] for new, old in names.items()}))

  def _set_aside(self, damaged: Iterable[int]) -> None:
    """Renames checkpoints so that Orbax ignores them."""
    if not damaged:
      return
    if jax.process_index() == 0:
      for step in damaged:
        name = next(name for i in itertools.count(1)
                    if not (self._folder / (name := _damaged(step, i))).exists())
        (self._folder / str(step)).rename(self._folder / name)
        logging.warning('The damaged checkpoint %d in %s is now %s.', step,
                        self._folder, name)
    processes.allgather_text('')  # waits until process 0 has renamed them
    self._manager.reload()

  def _open(self) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(
        self._folder,
        options=ocp.CheckpointManagerOptions(
            preservation_policy=self._keep, enable_async_checkpointing=True),
        item_handlers={'state': ocp.StandardCheckpointHandler(),
                       'encoder': ocp.StandardCheckpointHandler(),
                       'config': ocp.JsonCheckpointHandler()})


def _attempt(restore: Callable[[], Tree]) -> tuple[Tree, str]:
  """Returns the restored tree, and why a process could not read it or ''."""
  state, reason = None, ''
  with processes.fail_together():
    try:
      state = restore()
    except errors.UserError:
      raise
    except Exception as e:  # Orbax raises many kinds for a damaged file.
      reason = _first_line(e)
  return state, next(filter(None, processes.allgather_text(reason)), '')


def _renamed(saved: Tree, former: Mapping[str, str]) -> Tree:
  """Returns the metadata of a state with the present names of its variables."""
  present = {old: new for new, old in former.items()}
  return {**saved, 'variables': {present.get(name, name): x
                                 for name, x in saved['variables'].items()}
          } if former else saved


def _damaged(step: int, i: int) -> str:
  return f'{step}.damaged' + (f'.{i}' if i > 1 else '')


def read_config(folder: pathlib.Path | str) -> tuple[int, dict[str, Any]]:
  """Returns the step and the config of the newest readable checkpoint in `folder`.

  Raises:
    errors.UserError: no checkpoint can be read.
  """
  with _reader(folder) as manager:
    for step in sorted(manager.all_steps(), reverse=True):
      try:
        restored = manager.restore(step, args=ocp.args.Composite(
            config=ocp.args.JsonRestore()))
        return step, renamed.upgrade(restored['config'])
      except Exception as e:
        logging.warning('Checkpoint %d in %s cannot be read (%s).', step, folder,
                        _first_line(e))
  raise errors.UserError(
      f'{folder} holds no readable checkpoint; give the workdir of a '
      'pre-training run, or its folder `checkpoints`')


def restore_encoder(folder: pathlib.Path | str, step: int,
                    abstract_encoder: Tree) -> Tree:
  """Restores only the item `encoder` of a checkpoint.

  Args:
    folder: the folder of the checkpoints.
    step: the step of the checkpoint.
    abstract_encoder: the shapes, dtypes and shardings of the arrays.

  Raises:
    errors.UserError: the saved arrays do not have these shapes and dtypes.
  """
  with _reader(folder) as manager:
    try:
      return manager.restore(step, args=ocp.args.Composite(
          encoder=ocp.args.StandardRestore(abstract_encoder)))['encoder']
    except ValueError as e:
      raise errors.UserError(
          f'the encoder in {folder} at step {step} does not fit the architecture that '
          f'its config names ({_first_line(e)}); load it with the version of the code '
          'that saved it') from e


def read_arrays(folder: pathlib.Path | str, step: int, item: str = 'encoder') -> Tree:
  """Reads an item as NumPy arrays; the architecture need not be known.

  Args:
    folder: the folder of the checkpoints.
    step: the step of the checkpoint.
    item: 'encoder' or 'state'.

  Raises:
    errors.UserError: the item cannot be read.
  """
  path = epath.Path(folder) / str(step) / item
  handler = ocp.PyTreeCheckpointHandler()
  try:
    arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
                          handler.metadata(path).tree)
    return handler.restore(path, args=ocp.args.PyTreeRestore(restore_args=arrays))
  except Exception as e:  # Orbax raises many kinds for a damaged file.
    raise errors.UserError(
        f'the {item} in {folder} at step {step} cannot be read ({_first_line(e)}); '
        'give the --workdir of another run') from e
  finally:
    handler.close()


def locate(path: pathlib.Path | str) -> pathlib.Path:
  """Returns the folder of checkpoints of a workdir or folder, or a file itself.

  Raises:
    errors.UserError: the path holds no checkpoint.
  """
  path = pathlib.Path(path).absolute()
  if artefact.is_artefact(path):
    return path
  for folder in (path / 'checkpoints', path):
    if folder.is_dir() and any(p.name.isdigit() for p in folder.iterdir()):
      return folder
  raise errors.UserError(
      f'--checkpoint={path} holds no checkpoint; give the --workdir of a '
      'pre-training run, or a file of weights')


def newest_step(folder: pathlib.Path | str) -> int:
  """Returns the newest step in a folder of checkpoints, which may be unreadable."""
  return max(int(p.name) for p in pathlib.Path(folder).iterdir() if p.name.isdigit())


def _reader(folder: pathlib.Path | str) -> ocp.CheckpointManager:
  return ocp.CheckpointManager(
      pathlib.Path(folder).absolute(),
      options=ocp.CheckpointManagerOptions(create=False))


def _first_line(e: Exception) -> str:
  lines = str(e).strip().splitlines()
  return f'{type(e).__name__}: {lines[0][:160] if lines else ""}'
