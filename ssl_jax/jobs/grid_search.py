"""Trainings at every learning rate and weight decay of a grid, then at the best one.

Each cell is a run with a folder of its own, so a search that was stopped goes on where
it was.
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
from ssl_jax.evaluators import selection as grid_lib
from ssl_jax.jobs import workdir as workdir_lib

Config = Mapping[str, Any]
# From a config, a folder, a label and the splits to score to what a result holds.
Train = Callable[[dict[str, Any], pathlib.Path, str, tuple[str, ...]], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class SearchSpace:
  """Learning rates by weight decays, of which one is chosen on validation images.

  A weight decay here is what a step takes off a weight at the highest learning rate. It
  is divided by the learning rate to give `optim.weight_decay`, which is L2 and so
  multiplied by it again (Chen et al. 2020, arXiv:2002.05709, B.8).
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
    """All settings in the order of preference: low rates first, then low decays."""
    return [{'learning_rate': rate, 'weight_decay': decay} for rate, decay in
            itertools.product(sorted(self.learning_rates), sorted(self.weight_decays))]


def check(config: Config) -> None:
  """Raises `errors.UserError` for a grid that cannot be searched."""
  config_lib.build(SearchSpace, config['grid'], 'grid')
  if config.get('data', {}).get('validation_fraction') == 0:
    raise errors.UserError(
        'config.grid is chosen from on validation images, but '
        'config.data.validation_fraction is 0; use 0.1, or give no grid')


def run(config: Config, workdir: pathlib.Path, label: str,
        train: Train) -> dict[str, Any]:
  """Searches `config.grid`.

  Cells are trained in <workdir>/grid and scored on validation images; one that
  diverges loses. The best (of equals the first of `Grid.cells`) is trained once more,
  in <workdir>/refit with `refit` set in its config, and is the one that sees the test
  images. Of the cells results and curves are kept, no checkpoints.

  Raises:
    errors.UserError: every cell diverged, or the data do not suit.
  """
  cells = config_lib.build(SearchSpace, config['grid'], 'grid').cells
  score = config.get('score', 'top1')
  found = [_cell(at(config, cell), workdir / 'grid' / _name(cell),
                 f'{label} [{i}/{len(cells)}]', train)
           for i, cell in enumerate(cells, start=1)]
  values = [validation and validation[score] for validation in found]
  best = max(range(len(cells)), key=lambda i: -1 if values[i] is None else values[i])
  if values[best] is None:
    raise errors.UserError('the loss became infinite at every setting of config.grid; '
                           'lower config.grid.learning_rates')
  logging.info('%s: chose %s, %s %.4f on validation', label, _name(cells[best]), score,
               values[best])
  last = {**at(config, cells[best]), 'refit': True}
  result = workdir_lib.run_once(workdir / 'refit', last, lambda folder: train(
      last, folder, f'{label} refit', ('train', 'test')))
  return result | {
      'protocol': f'{result["protocol"]}, the best of {len(cells)} settings on '
                  'validation, trained on train + validation',
      'chosen': cells[best], 'at_edge': grid_lib.at_edge(label, cells[best], cells),
      'grid': [{**cell, f'validation_{score}': value}
               for cell, value in zip(cells, values, strict=True)],
      'validation': found[best]}


def at(config: Config, cell: Mapping[str, float]) -> dict[str, Any]:
  """The config of one setting of the grid."""
  rate, decay = cell['learning_rate'], cell['weight_decay']
  optim = {**config['optim'], 'learning_rate': rate, 'weight_decay': decay / rate}
  return {k: v for k, v in config.items() if k != 'grid'} | {'optim': optim}


def _name(cell: Mapping[str, float]) -> str:
  return f'lr{cell["learning_rate"]:g}_wd{cell["weight_decay"]:g}'


def _cell(config: dict[str, Any], folder: pathlib.Path, label: str,
          train: Train) -> dict[str, Any] | None:
  """The scores on validation images; None where the training diverged."""
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
