"""Shows how many weights of each layer are left in compressed networks."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import figure, ticker

from ssl_jax.report import tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.sections import compression
from ssl_jax.report.study import Study

Shares = dict[str, float]  # % of the weights of a layer that are left, by its name


def content(study: Study) -> Content:
  """Returns the figure with its table."""
  return Content(figures=figures(study))


def figures(study: Study) -> list[theme.Figure]:
  """Returns the weights left by layer: a panel for each network and protocol."""
  found = [(line, own) for line in compression.lines(study)
           if (own := pruned(line)) and shares(study, own[0])]
  if not found:
    return []
  column = found[0][1][0].column
  labels = f' with {study.display_name(column)} of the labels' if column else ''
  return [theme.Figure(
      'compression_by_layer',
      'Weights that are not zero, in % of the weights of a layer, by its place in the '
      f'network{labels}: mean over seeds. One threshold prunes all layers together, so '
      'it shows which of them the network needs. A layer at 100 % was not pruned.',
      f'Weights left in each of {max(len(shares(study, own[0])) for _, own in found)} '
      'layers of compressed networks, in %.',
      lambda palette: _draw(study, found, palette), table(study))]


def pruned(line: compression.Line) -> list[compression.Point]:
  """Returns the pruned networks of a line with most labels, least pruned first."""
  points = [p for p in line.points if p.target]
  return sorted((p for p in points if p.column == points[-1].column),
                key=lambda p: p.target)


def shares(study: Study, point: compression.Point) -> Shares:
  """Returns how many weights of each layer are left in a network.

  Args:
    study: the study.
    point: the network; the shares are averaged over seeds.
  """
  seeds = [{layer['name']: 100 * layer['nonzero'] / layer['weights']
            for layer in result.packed.get('layers', ())}
           for result in study.results(*point.entry)]
  names = sorted(seeds[0], key=_order)
  return {shown(name): float(np.mean([seed[name] for seed in seeds]))
          for name in names}


def shown(name: str) -> str:
  """Returns the name to print of a kernel, such as 'stage1_block1/conv1'."""
  parts = [part for part in name.split('/')
           if part not in ('network', 'encoder', 'conv', 'kernel')]
  return '/'.join(parts) or name


def _order(name: str) -> tuple[bool, bool, str]:
  """Orders names as images pass the layers: the stem first, the head last."""
  return 'encoder' not in name, 'stem' not in name, name


def table(study: Study) -> tables.Table:
  """Returns the weights left: a row for each layer, a column for each network."""
  columns = {}
  for line in compression.lines(study):
    for point in pruned(line):
      columns[f'{line.name(study)}, {100 * point.target:g} %'] = shares(study, point)
  layers = list(dict.fromkeys(name for column in columns.values() for name in column))
  rows = tuple(
      tables.text_cells(layer, *(f'{own[layer]:.2f}' if layer in own else ''
                                 for own in columns.values())) for layer in layers)
  return tables.Table('Weights that are not zero, in % of the weights of each layer.',
                      ('Layer', *columns), rows)


def _draw(study: Study,
          found: Sequence[tuple[compression.Line, list[compression.Point]]],
          palette: theme.Palette) -> figure.Figure:
  columns = min(2, len(found))
  rows = math.ceil(len(found) / columns)
  targets = sorted({p.target for _, own in found for p in own})
  fig = figure.Figure(figsize=(theme.WIDTH, 2.3 * rows + 0.3), layout='constrained')
  grid = fig.subplots(rows, columns, squeeze=False, sharey=True).ravel()
  for ax, (line, own) in zip(grid, found, strict=False):
    for point in own:
      left = list(shares(study, point).values())
      i = targets.index(point.target)
      # A layer without weights has no place on a logarithmic axis.
      ax.plot(np.arange(1, len(left) + 1), [x or np.nan for x in left],
              label=f'{100 * point.target:g} % pruned', color=palette.color(i), lw=1.2,
              marker=theme.marker(i), ms=3, linestyle=theme.line_style(i))
    ax.set_title(line.name(study), loc='left')
    ax.set_yscale('log')
    ax.yaxis.set_major_formatter(ticker.FormatStrFormatter('%g'))
    ax.yaxis.set_minor_formatter(ticker.NullFormatter())
    ax.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  for ax in grid[::columns]:
    ax.set_ylabel('weights left (%)')
  for ax in grid[max(0, len(found) - columns):len(found)]:
    ax.set_xlabel('layer, from the image to the classifier')
  for ax in grid[len(found):]:
    ax.set_visible(False)
  theme.legend(fig, *grid)
  return fig
