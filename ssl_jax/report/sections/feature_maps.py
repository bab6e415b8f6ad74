"""Shows feature maps of one image and the filters of the first layer."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colors, figure

from ssl_jax.report import panels, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_FILTERS = 36  # filters of the first layer that are shown of each method


def content(study: Study) -> Content:
  """Returns the figure of feature maps, and that of filters."""
  shown = panels.pictured(study)
  if not shown:
    return Content()
  with_filters = [s for s in shown if s.pictures.filters is not None]
  return Content(figures=[maps(shown), *([filters(with_filters)] * bool(with_filters))])


def maps(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns feature maps of one test image, stages by methods."""
  stages = list(dict.fromkeys(k for s in shown for k in s.pictures.feature_maps))
  sizes = ', '.join(
      f'{stage} {m.shape[1]} x {m.shape[2]}' for stage in stages
      for m in [next(s.pictures.feature_maps[stage] for s in shown
                     if stage in s.pictures.feature_maps)])
  return theme.Figure(
      'feature_maps',
      'Feature maps of the last layer of each stage for one test image (left): the '
      'four filters whose maps vary most, from dark (low) to bright (high), each '
      'scaled on its own. Filters of different methods do not correspond to each '
      f'other. Positions: {sizes}.',
      f'Feature maps of {", ".join(s.name for s in shown)} at {", ".join(stages)}.',
      lambda palette: _draw_maps(shown, stages, palette), title='Feature maps')


def _draw_maps(shown: Sequence[panels.Pictured], stages: Sequence[str],
               palette: theme.Palette) -> figure.Figure:
  columns = palette.columns(len(shown) + 1, 1.1)
  per_block = max(1, columns - 1)
  blocks = math.ceil(len(shown) / per_block)
  side = palette.width / max(columns, 5 if palette.width == theme.WIDTH else 3)
  fig = figure.Figure(
      figsize=(columns * side, blocks * len(stages) * (side + 0.05) + 0.3),
      layout='constrained')
  grid = fig.subplots(blocks * len(stages), per_block + 1, squeeze=False)
  for ax in grid.ravel():
    panels.bare(ax)
  for i, s in enumerate(shown):
    block, column = divmod(i, per_block)
    for row, stage in enumerate(stages):
      ax = grid[block * len(stages) + row, column + 1]
      if stage in s.pictures.feature_maps:
        ax.imshow(_scaled(s.pictures.feature_maps[stage]), cmap='viridis', vmin=0,
                  vmax=1, interpolation='none')
      if row == 0:
        ax.set_title(s.name, loc='left')
  for block in range(blocks):
    panels.image(grid[block * len(stages), 0], shown[0].pictures.input)
    grid[block * len(stages), 0].set_title('image', loc='left')
    for row, stage in enumerate(stages):
      grid[block * len(stages) + row, 0].set_ylabel(stage)
  return fig


def _scaled(maps: np.ndarray) -> np.ndarray:
  """Returns a square of maps [f, h, w], each scaled to [0, 1]."""
  low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
  scaled = (maps - low) / np.maximum(high - low, 1e-12)
  return panels.mosaic(panels.enlarged(scaled, 32), 2, 2)


def filters(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns the filters of the first layer of each method."""
  colour = shown[0].pictures.filters.shape[-1] == 3
  count, side = shown[0].pictures.filters.shape[:2]
  return theme.Figure(
      'filters',
      f'Filters of the first convolution, {side} x {side}, of each method'
      + (f' (the first {_FILTERS} of {count})' if count > _FILTERS else '') + '. '
      + ('Grey is zero; the three input channels are the colours. ' if colour else
         'White is zero, red positive, blue negative. ')
      + 'Each filter is scaled on its own.',
      f'Filters of the first layer of {", ".join(s.name for s in shown)}.',
      lambda palette: _draw_filters(shown, palette), title='First-layer filters')


def _draw_filters(shown: Sequence[panels.Pictured],
                  palette: theme.Palette) -> figure.Figure:
  columns = palette.columns(min(4, len(shown)), 1.7)
  rows = math.ceil(len(shown) / columns)
  side = palette.width / max(columns, 3 if palette.width == theme.WIDTH else 2)
  fig = figure.Figure(figsize=(side * columns, rows * (side + 0.25)),
                      layout='constrained')
  grid = fig.subplots(rows, columns, squeeze=False).ravel()
  for ax in grid:
    panels.bare(ax)
  for ax, s in zip(grid, shown, strict=False):
    kernels = s.pictures.filters[:_FILTERS]
    size = np.abs(kernels).max((1, 2, 3), keepdims=True)
    tiles = panels.enlarged(kernels / np.maximum(size, 1e-12), 16)
    wide = math.ceil(math.sqrt(len(tiles)))
    if tiles.shape[-1] == 3:
      pixels = panels.mosaic(0.5 + 0.5 * tiles, wide)
      alpha = np.isfinite(pixels[..., :1]).astype(float)
      ax.imshow(np.concatenate([np.nan_to_num(pixels), alpha], 2),
                interpolation='none')
    else:
      ax.imshow(panels.mosaic(tiles.mean(-1), wide), cmap='RdBu_r',
                norm=colors.Normalize(-1, 1), interpolation='none')
    ax.set_title(s.name, loc='left')
  return fig
