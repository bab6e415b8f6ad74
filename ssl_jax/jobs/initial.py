"""Starts a training from given weights: those of a run, or of a file."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import logging

from ssl_jax import errors
from ssl_jax.compression import artefact
from ssl_jax.jobs import carried, export
from ssl_jax.methods import base
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.parallel import processes
from ssl_jax.train import checkpoint, training
from ssl_jax.train import encoder as encoder_lib
from ssl_jax.train import step as step_lib
from ssl_jax.weights import files, matching, timm_vit, torchvision

Tree = Any
_NAMED_AT_MOST = 5  # arrays that a message names
# Arrays of a file that are part of the encoder, whatever their layer is called.
_ENCODER = re.compile(
    r'(layer\d|conv1|bn1|stem|blocks|patch_embed|norm|norm_pre|fc_norm|dist_token|'
    r'register_tokens)\b.*')


class Weights(NamedTuple):
  """Holds the weights that a training starts from.

  Attributes:
    variables: {'params', 'batch_stats'} with the module 'encoder' and others.
    unknown: names of arrays in the file that no network of this library has.
    model: the section `model` of the network, or None if it is not known.
    images: 'mean' and 'std' of the images that the network was trained on.
  """
  variables: Tree
  unknown: list[str]
  model: Mapping[str, Any] | None
  images: dict[str, Any]


def started_from(run: training.TrainingRun,
                 config: Mapping[str, Any]) -> training.TrainingRun:
  """Returns the run, which starts from the weights that its config names.

  The weights are read when the run starts, and not when it resumes.

  Args:
    run: a run that starts at random.
    config: its plain config; the fields are `model.init_from` and
      `train.carry_optimizer`.
  """
  path = config['model'].get('init_from')
  if path is None:
    return run
  return dataclasses.replace(run, warm_start=functools.partial(
      warm_start, path, config, run))


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` if an optimizer is to come from no run."""
  path = config['model'].get('init_from')
  if config['train'].get('carry_optimizer') and not _is_run(path):
    raise errors.UserError(
        'config.train.carry_optimizer is True, but config.model.init_from is '
        f'{path!r}, which has no optimizer; set config.model.init_from to the workdir '
        'of a run, or --config.train.carry_optimizer=False')


def warm_start(path: str, config: Mapping[str, Any], run: training.TrainingRun,
               state: step_lib.TrainState) -> step_lib.TrainState:
  """Returns the state with given weights, and with more if they are those of a run.

  Args:
    path: the workdir of a run, or a file.
    config: the plain config of the training.
    run: the training.
    state: its random state before the first step.

  Raises:
    errors.UserError: the weights cannot be read, or they or the optimizer do not fit.
  """
  state = state.replace(variables=put(path, config, run.method, run.mesh,
                                      state.variables))
  if not _is_run(path):
    return state
  saved = carried.SavedState(path)
  state = carried.with_target(state, saved, config, run.mesh)
  if not config['train'].get('carry_optimizer'):
    return state
  return carried.with_optimizer(state, saved, config,
                                run.config['dataset']['class_names'], run.mesh)


def put(path: str, config: Mapping[str, Any], method: base.Base, mesh: Any,
        variables: base.Variables) -> base.Variables:
  """Returns the variables with given weights in place of random ones.

  All arrays of the encoder must match. Another module, such as a projector, is taken if
  all its arrays match, and otherwise stays random. The log names what was taken, what
  is random, and what is not used.

  Args:
    path: the workdir of a run, or a file.
    config: the plain config of the training.
    method: what is trained.
    mesh: the devices.
    variables: the result of `method.init`.

  Raises:
    errors.UserError: the weights cannot be read, or they are of another architecture.
  """
  weights = read(path, mesh)
  found = matching.match(method.encoder_variables(variables), weights.variables)
  foreign = [name for name in weights.unknown if _ENCODER.match(name)]
  is_file = files.is_file(path)
  names = lambda paths: sorted(_name(p, is_file) for p in paths)
  if not found.fits or foreign:
    raise errors.UserError(_misfit(
        path, weights, {
            'the weights lack': names(found.missing),
            'other shapes have': names(found.other_shape),
            'the network lacks': [*names(found.surplus), *foreign]}))
  _check_not_in_arrays(path, config['model'], weights.model)
  unused = [*names(found.unused), *weights.unknown]
  logging.info(
      'The training starts from %s. Modules with its weights: %s; random modules: %s; '
      'arrays that are not used: %s', path, ', '.join(found.taken),
      ', '.join(found.kept) or 'none', ', '.join(unused) or 'none')
  _compare_images(path, weights.images, config['augment'])
  return method.with_pretrained(
      variables, mesh_lib.put_replicated(mesh, found.variables))


def _check_not_in_arrays(path: str, ours: Mapping[str, Any],
                         theirs: Mapping[str, Any] | None) -> None:
  """Raises if networks of equal arrays compute differently, as far as is known."""
  if theirs is None:
    return
  facts = lambda model: {'max_pool': model.get('max_pool', 'symmetric'),
                         'heads': timm_vit.heads_of(model)}
  mine, other = facts(ours), facts(theirs)
  if files.is_file(path) and 'heads' not in theirs:  # A file of another library.
    other['heads'] = mine['heads']
  for name, value in mine.items():
    if value != other[name]:
      raise errors.UserError(
          f'config.model.{name} is {value!r}, but the network of {path} has '
          f'{other[name]!r}; set --config.model.{name}={other[name]}')


def read(path: str, mesh: Any) -> Weights:
  """Reads the weights of a run or of a file.

  Args:
    path: the workdir of a run, or a file with a suffix of `files.SUFFIXES`.
    mesh: the devices.

  Raises:
    errors.UserError: there are none, or they cannot be read.
  """
  if files.is_file(path):
    with processes.fail_together():
      file = files.read(path)
    return Weights(file.variables, file.unknown, file.model, file.images)
  folder = pathlib.Path(path).expanduser()
  try:
    checkpoint.locate(folder)
  except errors.UserError as e:
    raise errors.UserError(
        f'config.model.init_from is {path}, which holds no checkpoint; give the '
        f'workdir of a run, or a file that ends in {", ".join(files.SUFFIXES)}') from e
  encoder = encoder_lib.load(folder, mesh)
  policy = encoder.method.preprocess
  return Weights(matching.without_wrappers(encoder.variables), [],
                 export.model_of(encoder.config),
                 {'mean': policy.mean, 'std': policy.std})


def _is_run(path: str | None) -> bool:
  return not (path is None or files.is_file(path) or artefact.is_artefact(path))


def _name(path: matching.Path, is_file: bool) -> str:
  """Returns the name of an array as the weights have it."""
  for names in (torchvision, timm_vit) if is_file else ():
    try:
      return names.name(path)
    except errors.UserError:
      pass  # The network has a layer that no such file can hold.
  return '/'.join(path[1:])


def _misfit(path: str, weights: Weights,
            differences: Mapping[str, list[str]]) -> str:
  """Returns the message for weights of another network."""
  parts = []
  for what, names in differences.items():
    if names:
      parts.append(f'{what} {errors.listed(names, _NAMED_AT_MOST)}')
  model = weights.model or {}
  flags = ' '.join(f'--config.model.{name}={value}' for name, value in model.items()
                   if name != 'init_from')
  if model and timm_vit.heads_of(model):  # The position embedding fits one size.
    side = timm_vit.side_of(weights.variables, model)
    flags += f' --config.augment.size={side}'
  remedy = (f'Set the network of the weights by {flags}' if flags else
            'Give the weights of a ResNet by the names of torchvision or timm, or of a '
            'ViT by those of timm')
  return (f'config.model.init_from is {path}, which does not hold the network of '
          f'config.model: {"; ".join(parts)}. {remedy}')


def _compare_images(path: str, theirs: Mapping[str, Any],
                    augment: Mapping[str, Any]) -> None:
  """Warns if the images of the training are normalised in another way."""
  ours = {name: augment.get(name) for name in ('mean', 'std')}

  def numbers(facts):
    mean, std = facts['mean'] or (0.,), facts['std'] or (1.,)
    # One number stands for equal channels, so that None equals (0, 0, 0).
    return [{float(x) for x in values} if len(set(values)) == 1 else
            [float(x) for x in values] for values in (mean, std)]
  if numbers(ours) != numbers(theirs):
    logging.warning(
        'The weights of %s were trained on images with mean %s and std %s, but this '
        'run has mean %s and std %s; set config.augment.mean and config.augment.std to '
        'theirs, or the features may be worse', path, theirs['mean'], theirs['std'],
        ours['mean'], ours['std'])
