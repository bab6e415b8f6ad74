"""Trains at every learning rate and weight decay of a grid, then at the best setting.

Each setting is a run in its own folder, so a search that was stopped continues with the
settings that are not finished.
"""

import dataclasses
import itertools
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import jax
from absl import logging

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.evaluators import selection
from ssl_jax.jobs import workdir as workdir_lib

Config = Mapping[str, Any]
# Trains one network: maps a config, a folder, a label and the splits to score to the
# fields of result.json.
Train = Callable[[dict[str, Any], pathlib.Path, str, tuple[str, ...]], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class SearchSpace:
  """A grid of learning rates and weight decays, from which one pair is chosen.

  A weight decay of the grid is the fraction of a weight that a step subtracts at the
  highest learning rate. It is divided by the learning rate to give
  `optim.weight_decay`, which is L2 and therefore multiplied by the learning rate again
  (Chen et al. 2020, arXiv:2002.05709, B.8).
  """
  learning_rates: tuple[float, ...] = config_lib.field(
      above=0, nonempty=True,
      doc='Values that replace optim.learning_rate, all different')
  weight_decays: tuple[float, ...] = config_lib.field(
      (0.,), low=0, nonempty=True,
      doc='Weight decays per step at the highest learning rate, all different')

  def __post_init__(self):
    for name in ('learning_rates', 'weight_decays'):
      values = getattr(self, name)
      if len(set(values)) < len(values):
        raise errors.UserError(f'config.grid.{name} is {values!r}; accepted is a list '
                               'of different numbers')

  @property
  def settings(self) -> list[dict[str, float]]:
    """All settings in the order of preference: low rates first, then low decays."""
    return [{'learning_rate': rate, 'weight_decay': decay} for rate, decay in
            itertools.product(sorted(self.learning_rates), sorted(self.weight_decays))]


def check(data: Mapping[str, Any]) -> None:
  """Checks that a setting can be chosen on validation images.

  Raises:
    errors.UserError: the section `data` of the config excludes validation images.
  """
  if data.get('validation_fraction') == 0:
    raise errors.UserError(
        'config.grid needs validation images, but config.data.validation_fraction is '
        '0; set it to 0.1, or remove config.grid')


def run(space: SearchSpace, score: str, config: Config, workdir: pathlib.Path,
        label: str, train: Train) -> dict[str, Any]:
  """Searches a grid of settings; returns the fields of result.json.

  Each setting is trained in <workdir>/grid and scored on validation images. A setting
  that diverges is never chosen. The best setting (the first of `SearchSpace.settings`
  among equals) is trained again in <workdir>/refit, with `refit` set in its config, and
  only that network is scored on the test images. The results and the metrics of all
  settings are kept, but not their checkpoints.

  Args:
    space: the settings.
    score: the score by which a setting is chosen, such as 'top1'.
    config: the plain config of the whole search.
    workdir: the folder of the search.
    label: the name of the search in messages.
    train: trains at one setting.

  Raises:
    errors.UserError: every setting diverged, or `train` does not accept the data.
  """
  settings = space.settings
  found = [validate(at(config, setting), workdir / 'grid' / name(setting),
                    f'{label} [{i}/{len(settings)}]', train)
           for i, setting in enumerate(settings, start=1)]
  values = [validation and validation[score] for validation in found]
  best = selection.best(values)
  if values[best] is None:
    raise errors.UserError('the loss became infinite at every setting of config.grid; '
                           'lower config.grid.learning_rates')
  logging.info('%s: chose %s, %s %.4f on validation', label, name(settings[best]),
               score, values[best])
  last = {**at(config, settings[best]), 'refit': True}
  result = workdir_lib.run_once(workdir / 'refit', last, lambda folder: train(
      last, folder, f'{label} refit', ('train', 'test')))
  return result | {
      'protocol': f'{result["protocol"]}, the best of {len(settings)} settings on '
                  'validation, trained on train + validation',
      'chosen': settings[best],
      'at_edge': selection.at_edge(label, settings[best], settings),
      'grid': [{**setting, f'validation_{score}': value}
               for setting, value in zip(settings, values, strict=True)],
      'validation': found[best]}


def at(config: Config, setting: Mapping[str, float]) -> dict[str, Any]:
  """Returns the plain config of one setting of the grid."""
  rate, decay = setting['learning_rate'], setting['weight_decay']
  optim = {**config['optim'], 'learning_rate': rate, 'weight_decay': decay / rate}
  return {k: v for k, v in config.items() if k != 'grid'} | {'optim': optim}


def name(setting: Mapping[str, float]) -> str:
  """Returns the name of the folder of a setting."""
  return f'lr{setting["learning_rate"]:g}_wd{setting["weight_decay"]:g}'


def validate(config: dict[str, Any], folder: pathlib.Path, label: str,
             train: Train) -> dict[str, Any] | None:
  """Trains at one setting; returns its validation scores, or None if it diverged.

  Args:
    config: the plain config of this setting.
    folder: the folder of this setting.
    label: the name of this training in messages.
    train: trains at one setting.
  """
  def work(folder):
    try:
      return train(config, folder, label, ('validation',))
    except errors.Diverged as e:
      logging.warning('%s: %s', label, e)
      return {'validation': None, 'diverged': str(e)}

  result = workdir_lib.run_once(folder, config, work)
  if jax.process_index() == 0:  # all checkpoints of a grid could fill a disk
    shutil.rmtree(folder / 'checkpoints', ignore_errors=True)
  return result['validation']
