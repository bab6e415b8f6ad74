"""Carries the state of a run into a new one, which trains its network for longer.

Weights alone come from `jobs.initial`. This module adds the target network of a method
and, if asked for, the state of the optimizer and of the online probe. The number of the
step, the learning-rate schedule and the random numbers are those of the new run.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax
from absl import logging

from ssl_jax import errors
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import processes
from ssl_jax.train import checkpoint, resume
from ssl_jax.train import step as step_lib

Tree = Any


class SavedState:
  """The state in the newest checkpoint of a run, read when it is first used.

  Args:
    path: the workdir of the run.

  Attributes:
    path: the workdir of the run, for messages.
    config: the plain config of the run.
  """

  def __init__(self, path: str):
    self.path = path
    self._folder = checkpoint.locate(pathlib.Path(path).expanduser())
    self._step, self.config = checkpoint.read_config(self._folder)
    self._tree = None

  def part(self, *names: str) -> Tree:
    """Returns a part of the state, such as 'opt_state', as NumPy arrays.

    Raises:
      errors.UserError: the state cannot be read.
    """
    if self._tree is None:
      with processes.fail_together():
        self._tree = checkpoint.read_arrays(self._folder, self._step, 'state')
    found = self._tree
    for name in names:
      found = (found or {}).get(name)
    return found


def with_target(state: step_lib.TrainState, saved: SavedState,
                config: Mapping[str, Any], mesh: jax.sharding.Mesh
                ) -> step_lib.TrainState:
  """Returns the state with the target network of a run of the same method.

  If the methods or the shapes differ, the target network remains the copy of the
  online network that `method.with_pretrained` made, and the log says so.

  Args:
    state: a state with the weights of the run.
    saved: the state of the run.
    config: the plain config of the new run.
    mesh: the devices.
  """
  own = state.variables.non_trainable
  if own is None or any(c.get('compression') for c in (config, saved.config)):
    return state  # The masks of a compression belong to one training.
  same = config['method']['name'] == saved.config['method']['name']
  found = saved.part('variables', 'non_trainable') if same else None
  if found is None or resume.differ(found, own):
    logging.info('The target network starts as a copy of the network of %s, and a '
                 'queue is new', saved.path)
    return state
  logging.info('The target network, or the queue, is that of %s', saved.path)
  return state.replace(variables=state.variables.replace(
      non_trainable=mesh_lib.put_replicated(mesh, _like(own, found))))


def with_optimizer(state: step_lib.TrainState, saved: SavedState,
                   config: Mapping[str, Any], class_names: Any,
                   mesh: jax.sharding.Mesh) -> step_lib.TrainState:
  """Returns the state with the optimizer and the online probe of a run.

  The learning-rate schedule starts at its beginning. The probe is taken if its classes
  and arrays are the same.

  Args:
    state: a state with the weights of the run.
    saved: the state of the run.
    config: the plain config of the new run.
    class_names: the classes of the images of the new run.
    mesh: the devices.

  Raises:
    errors.UserError: the run had another optimizer, or trained other arrays.
  """
  theirs = saved.config['optim']['name']
  remedy = ('set config.optim and the network as in that run, or set '
            '--config.train.carry_optimizer=False')
  if (ours := config['optim']['name']) != theirs:
    raise errors.UserError(
        f'config.train.carry_optimizer is True and config.optim.name is {ours!r}, but '
        f'{saved.path} was trained by {theirs!r}; set --config.optim.name={theirs} or '
        '--config.train.carry_optimizer=False')
  found = saved.part('opt_state')
  resume.check_tree(found, state.opt_state, f'the optimizer state of {saved.path}',
                    remedy)
  opt_state = mesh_lib.put_replicated(mesh, _restarted(_like(state.opt_state, found)))
  state = state.replace(opt_state=opt_state)
  probe, same = saved.part('probe'), False
  if state.probe is not None and probe is not None:
    same = (list(saved.config['dataset']['class_names']) == list(class_names)
            and not resume.differ(probe, state.probe))
  logging.info('The optimizer continues with its state in %s; the online probe %s',
               saved.path, 'does too' if same else 'starts at zero')
  if config['seed'] == saved.config['seed']:
    logging.warning(
        'config.seed is %s, as in %s, so the order of the images and the random '
        'numbers of the views are those of its first epochs; set another seed, such as '
        '--config.seed=%s', config['seed'], saved.path, config['seed'] + 1)
  if not same:
    return state
  return state.replace(probe=mesh_lib.put_replicated(mesh, _like(state.probe, probe)))


def _like(wanted: Tree, saved: Tree) -> Tree:
  """Returns the arrays of `saved` in a tree of the form of `wanted`."""
  by_path = resume.by_path(saved)
  return jax.tree_util.tree_map_with_path(
      lambda path, _: by_path[resume.name(path)], wanted)


def _restarted(opt_state: Tree) -> Tree:
  """Returns the state of an optimizer whose schedule is at step 0.

  Other counters, such as that of the bias correction of Adam, are kept.
  """
  of_schedule = lambda part: isinstance(part, optax.ScaleByScheduleState)
  return jax.tree.map(
      lambda part: jax.tree.map(np.zeros_like, part) if of_schedule(part) else part,
      opt_state, is_leaf=of_schedule)
