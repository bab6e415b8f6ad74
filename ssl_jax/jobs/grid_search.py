"""Trains at every learning rate and weight decay of a grid, then at the best setting.

Each setting is a run with a folder of its own, so a search that was stopped continues
with the settings that are not finished.
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
# Maps a config, a folder, a label and the splits to score to the fields of a result.
Train = Callable[[dict[str, Any], pathlib.Path, str, tuple[str, ...]], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class SearchSpace:
  """Learning rates by weight decays, of which one is chosen on validation images.

  A weight decay here is the fraction of a weight that a step subtracts at the highest
  learning rate. It is divided by the learning rate to give `optim.weight_decay`, which
  is L2 and so multiplied by the learning rate again (Chen et al. 2020,
  arXiv:2002.05709, B.8).
  """
  learning_rates: tuple[float, ...] = config_lib.field(
      above=0, nonempty=True,
      doc='Values in the place of optim.learning_rate, all different')
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
  def cells(self) -> list[dict[str, float]]:
    """All settings in the order of preference: low rates, then low decays, first."""
    return [{'learning_rate': rate, 'weight_decay': decay} for rate, decay in
            itertools.product(sorted(self.learning_rates), sorted(self.weight_decays))]


def check(data: Mapping[str, Any]) -> None:
  """Checks that there are validation images to choose a setting by.

  Raises:
    errors.UserError: the section `data` of the config excludes them.
  """
  if data.get('validation_fraction') == 0:
    raise errors.UserError(
        'config.grid is chosen from on validation images, but '
        'config.data.validation_fraction is 0; use 0.1, or give no grid')


def run(space: SearchSpace, score: str, config: Config, workdir: pathlib.Path,
        label: str, train: Train) -> dict[str, Any]:
  """Searches a grid of settings.

  Each setting is trained in <workdir>/grid and scored on validation images; one that
  diverges is never chosen. The best setting (among equals the first of
  `SearchSpace.cells`) is trained once more in <workdir>/refit, with `refit` set in its
  config, and only that network is scored on the test images. The results and the curves
  of the settings are kept; their checkpoints are not.

  Args:
    space: the settings.
    score: the score that chooses, such as 'top1'.
    config: plain, of the whole search.
    workdir: its folder.
    label: its name in messages.
    train: trains at one setting.

  Raises:
    errors.UserError: every setting diverged, or the data do not suit.
  """
  cells = space.cells
  found = [validate(at(config, cell), workdir / 'grid' / name(cell),
                    f'{label} [{i}/{len(cells)}]', train)
           for i, cell in enumerate(cells, start=1)]
  values = [validation and validation[score] for validation in found]
  best = selection.best(values)
  if values[best] is None:
    raise errors.UserError('the loss became infinite at every setting of config.grid; '
                           'lower config.grid.learning_rates')
  logging.info('%s: chose %s, %s %.4f on validation', label, name(cells[best]), score,
               values[best])
  last = {**at(config, cells[best]), 'refit': True}
  result = workdir_lib.run_once(workdir / 'refit', last, lambda folder: train(
      last, folder, f'{label} refit', ('train', 'test')))
  return result | {
      'protocol': f'{result["protocol"]}, the best of {len(cells)} settings on '
                  'validation, trained on train + validation',
      'chosen': cells[best], 'at_edge': selection.at_edge(label, cells[best], cells),
      'grid': [{**cell, f'validation_{score}': value}
               for cell, value in zip(cells, values, strict=True)],
      'validation': found[best]}


def at(config: Config, cell: Mapping[str, float]) -> dict[str, Any]:
  """Returns the plain config of one setting of the grid."""
  rate, decay = cell['learning_rate'], cell['weight_decay']
  optim = {**config['optim'], 'learning_rate': rate, 'weight_decay': decay / rate}
  return {k: v for k, v in config.items() if k != 'grid'} | {'optim': optim}


def name(cell: Mapping[str, float]) -> str:
  """Returns the name of a setting's folder."""
  return f'lr{cell["learning_rate"]:g}_wd{cell["weight_decay"]:g}'


def validate(config: dict[str, Any], folder: pathlib.Path, label: str,
             train: Train) -> dict[str, Any] | None:
  """Trains at one setting; returns its validation scores, or None if it diverged."""
  def work(folder):
    try:
      return train(config, folder, label, ('validation',))
    except errors.Diverged as e:
      logging.warning('%s: %s', label, e)
      return {'validation': None, 'diverged': str(e)}

  result = workdir_lib.run_once(folder, config, work)
  if jax.process_index() == 0:  # those of a grid of large networks would fill a disk
    shutil.rmtree(folder / 'checkpoints', ignore_errors=True)
  return result['validation']
