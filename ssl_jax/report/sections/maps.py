"""Shows 2-D maps of the same test images for every method, and by endpoint."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import axes, figure, lines

from ssl_jax.report import panels, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_KINDS = {'tsne': 't-SNE', 'pca': 'PCA'}
_MAIN = 'pooled'
_MOST_NAMED = 20     # largest number of classes in the legend
_MOST_COLUMNS = 6    # endpoints side by side
_MARGIN = 0.04       # of a panel, around its points
_TITLE = 0.24        # inches above a panel
_LINE = 0.19         # inches of a line of the legend


def content(study: Study) -> Content:
  """Returns the two figures of maps."""
  shown = panels.pictured(study)
  return Content(figures=[main(shown), by_endpoint(shown)] if shown else [])


def kind_of(shown: Sequence[panels.Pictured]) -> str:
  """Returns 'tsne' if all methods have that map, and 'pca' otherwise."""
  return min(_KINDS, key=lambda kind: (
      not all(f'{kind}/{_MAIN}' in s.pictures.maps for s in shown), kind != 'tsne'))


def main(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns the maps of the main endpoint, one panel per method."""
  kind, first = kind_of(shown), shown[0].pictures
  same = all(first.shows_the_same_images(s.pictures) for s in shown)
  names = panels.names_of_classes(shown)
  caption = (
      f'Representations of {len(first.indices):,} test images, mapped to two '
      f'dimensions by {_KINDS[kind]}, one panel per method. A point is an image'
      + (', its colour is the class' if names else '') + '. The encoder has not seen '
      'these images. ' + ('All panels show the same images. ' if same else '')
      + ('Distances between groups and sizes of groups mean little in t-SNE. '
         if kind == 'tsne' else '')
      + 'On the page, the mouse or a finger shows an image and marks it in all panels.')
  separations = '; '.join(f'{s.name}: {_separation(s, kind)}' for s in shown)
  return theme.Figure(
      'maps', caption, f'Maps of test images by {_KINDS[kind]}. {separations}.',
      lambda palette: _draw(shown, kind, palette), title='Map of the representations',
      raster=True,
      hover=_hover(shown, kind) if same else None)


def _separation(shown: panels.Pictured, kind: str) -> str:
  """Returns how many points have a nearest point of the same class, in words."""
  points, labels = shown.pictures.maps[f'{kind}/{_MAIN}'], shown.pictures.labels
  points = np.asarray(points, np.float64)
  squares = (points**2).sum(1)
  distance = squares[:, None] + squares[None] - 2 * points @ points.T
  np.fill_diagonal(distance, np.inf)
  share = 100 * (labels[distance.argmin(1)] == labels).mean()
  return f'the nearest point of {share:.0f} % of the points has the same class'


def _placed(points: np.ndarray) -> np.ndarray:
  """Scales points to a panel without distortion: fractions from its left and top."""
  low, high = points.min(0), points.max(0)
  side = max(high - low) or 1.0
  inside = (points - (low + high) / 2) / side * (1 - 2 * _MARGIN) + 0.5
  return np.stack([inside[:, 0], 1 - inside[:, 1]], 1)


def _grid(n: int, names: Sequence[str], palette: theme.Palette
          ) -> tuple[int, int, float, float]:
  """Returns columns, rows, and the heights of a panel and of the legend in inches."""
  columns = palette.columns(2 if n in (2, 4) else 3, 1.7)
  columns = min(columns, n)
  side = palette.width / max(columns, 2)
  widest = 0.075 * max(map(len, names), default=1) + 0.3  # inches
  per_line = max(1, int(palette.width / widest))
  named = names if len(names) <= _MOST_NAMED else ()
  return columns, math.ceil(n / columns), side, _LINE * math.ceil(len(named) / per_line)


def boxes(n: int, names: Sequence[str], palette: theme.Palette) -> list[list[float]]:
  """Returns the panels' boxes: fractions left, top, width, height of the figure.

  Args:
    n: number of panels.
    names: names of the classes, in the legend above the panels.
    palette: gives the width.
  """
  columns, rows, side, legend = _grid(n, names, palette)
  height = legend + rows * (side + _TITLE)
  gap = 0.03 * side
  return [[(i % columns * side + gap) / palette.width,
           (legend + i // columns * (side + _TITLE) + _TITLE) / height,
           (side - 2 * gap) / palette.width, (side - 2 * gap) / height]
          for i in range(n)]


def _draw(shown: Sequence[panels.Pictured], kind: str,
          palette: theme.Palette) -> figure.Figure:
  names = panels.names_of_classes(shown)
  _, rows, side, legend = _grid(len(shown), names, palette)
  fig = figure.Figure(figsize=(palette.width, legend + rows * (side + _TITLE)))
  for s, (left, top, width, height) in zip(
      shown, boxes(len(shown), names, palette), strict=True):
    ax = fig.add_axes((left, 1 - top - height, width, height))
    _scatter(ax, _placed(s.pictures.maps[f'{kind}/{_MAIN}']), s, palette)
    ax.set_title(s.name, loc='left', pad=3)
  if legend:
    per_line = math.ceil(len(names) / round(legend / _LINE))
    # matplotlib fills the legend column by column.
    handles = [lines.Line2D([], [], marker='o', ls='', ms=5, label=name,
                            color=theme.class_color(i, len(names)))
               for i, name in enumerate(names)]
    fig.legend(handles=handles, loc='upper left', ncols=per_line, borderpad=0,
               borderaxespad=0.1, handletextpad=0.1, columnspacing=0.9,
               labelspacing=0.25, handlelength=1.2)
  return fig


def _scatter(ax: axes.Axes, placed: np.ndarray, shown: panels.Pictured,
             palette: theme.Palette, scale: float = 1.0) -> None:
  """Draws the points of one map on bare axes with a thin frame.

  Args:
    ax: the axes.
    placed: positions, fractions from the left and the top [n, 2].
    shown: gives the classes.
    palette: the colours.
    scale: factor of the size of a point.
  """
  labels, classes = shown.pictures.labels, len(shown.pictures.class_names)
  colors = ([theme.class_color(k, classes) if k >= 0 else palette.grid_line
             for k in labels] if classes else palette.color(shown.index))
  panels.bare(ax).spines[:].set(visible=True, color=palette.grid_line)
  size = scale * np.clip(6000 / len(placed), 2.5, 14)
  ax.scatter(placed[:, 0], placed[:, 1], s=size, c=colors, linewidths=0, alpha=0.85,
             rasterized=True)
  ax.set_xlim(0, 1)
  ax.set_ylim(1, 0)


def _hover(shown: Sequence[panels.Pictured], kind: str) -> theme.Hover:
  names, first = panels.names_of_classes(shown), shown[0].pictures
  sheet, columns = panels.sprite(first.images)
  texts = []
  for s in shown:
    guesses = ([] if s.pictures.votes is None else
               [s.pictures.name(k) for k in s.pictures.predictions])
    texts.append([_text(first.name(label), guesses[i] if guesses else '')
                  for i, label in enumerate(first.labels)])
  return theme.Hover(
      lambda palette: boxes(len(shown), names, palette),
      np.stack([_placed(s.pictures.maps[f'{kind}/{_MAIN}']) for s in shown]),
      texts, sheet, columns, (first.images.shape[2], first.images.shape[1]))


def _text(name: str, guess: str) -> str:
  if not guess:
    return name
  return f'{name}, so kNN' if name == guess else f'{name}, kNN: {guess}'


def by_endpoint(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns the PCA maps of the endpoints, methods by endpoints."""
  endpoints = list(dict.fromkeys(
      name.partition('/')[2] for s in shown for name in s.pictures.maps
      if name.startswith('pca/')))
  return theme.Figure(
      'maps_by_endpoint',
      'The same test images by the first two principal components of every endpoint of '
      'the network, from the first layers (left) to the last ones. Feature maps are '
      'averaged over their positions. The projection, if a method has one, serves its '
      'loss only and is not evaluated.',
      f'PCA maps of the endpoints {", ".join(endpoints)} of '
      f'{", ".join(s.name for s in shown)}.',
      lambda palette: _draw_endpoints(shown, endpoints, palette),
      title='Maps by endpoint', raster=True)


def _draw_endpoints(shown: Sequence[panels.Pictured], endpoints: Sequence[str],
                    palette: theme.Palette) -> figure.Figure:
  """Draws a row of maps per method, which is broken if it is wider than the page."""
  columns = palette.columns(min(len(endpoints), _MOST_COLUMNS), 0.95)
  blocks = math.ceil(len(endpoints) / columns)
  side = palette.width / max(columns, 3)
  fig = figure.Figure(figsize=(palette.width, len(shown) * blocks * (side + 0.2)),
                      layout='constrained')
  grid = fig.subplots(len(shown) * blocks, columns, squeeze=False)
  for ax in grid.ravel():
    panels.bare(ax)
  for i, s in enumerate(shown):
    for j, endpoint in enumerate(endpoints):
      ax = grid[i * blocks + j // columns, j % columns]
      points = s.pictures.maps.get(f'pca/{endpoint}')
      if points is None:
        continue
      _scatter(ax, _placed(points), s, palette, 0.45)
      ax.set_aspect('equal')
      ax.set_title(endpoint, fontsize=7.5, pad=2)
    grid[i * blocks, 0].set_ylabel(s.name)
  return fig
