"""Shows the training images nearest to test images, and confident mistakes."""

from collections.abc import Sequence

import numpy as np
from matplotlib import axes, figure, patches

from ssl_jax.report import panels, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_SHOWN = 6     # largest number of methods in the figure
_LEFT = 1.3    # position of the first neighbour, in sides of an image
_STEP = 1.12   # from one neighbour to the next
_LINE = 1.5   # from one line to the next


def content(study: Study) -> Content:
  """Returns the figure of neighbours."""
  shown = panels.pictured(study)[:_SHOWN]
  return Content(figures=[neighbours(shown)] if shown else [])


def neighbours(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns test images with their nearest training images, for each method."""
  bank = f'{int(shown[0].pictures.bank):,}'
  labelled = bool(shown[0].pictures.class_names)
  mistakes = '; '.join(f'{s.name}: {_mistakes(s)}' for s in shown) + '.'
  caption = (f'Test images (left) and the nearest of {bank} training images by cosine '
             'similarity of the features, nearest first.')
  if labelled:
    caption += (' A frame is green if the class is that of the test image. Below the '
                'line are the most confident mistakes of each method: the label gives '
                'the class and the prediction of kNN (20 neighbours), with its share '
                'of the vote.')
  return theme.Figure(
      'neighbours', caption,
      'Nearest training images of test images. '
      + (f'Most confident mistakes of kNN: {mistakes}' if labelled else ''),
      lambda palette: _draw(shown, palette),
      title='Nearest neighbours and confident mistakes')


def _mistakes(shown: panels.Pictured) -> str:
  pictures = shown.pictures
  rows = pictures.queries[len(pictures.queries) - int(pictures.own_queries):]
  return ', '.join(_label(shown, row) for row in rows) or 'none'


def _label(shown: panels.Pictured, row: int) -> str:
  """Returns `cat → dog, 93 %`, or the class alone if the prediction is right."""
  pictures = shown.pictures
  name = pictures.name(pictures.labels[row])
  if pictures.votes is None or pictures.predictions[row] == pictures.labels[row]:
    return name
  guess = pictures.name(pictures.predictions[row])
  return f'{name} → {guess}, {100 * pictures.votes[row].max():.0f} %'


def _draw(shown: Sequence[panels.Pictured], palette: theme.Palette) -> figure.Figure:
  columns = min(len(shown), palette.columns(2 if len(shown) in (2, 4) else 3, 2.2))
  rows = -(-len(shown) // columns)
  lines = max(len(s.pictures.queries) for s in shown)
  near = shown[0].pictures.neighbours.shape[1]
  width = _LEFT + _STEP * near
  side = palette.width / max(columns, 2 if palette.width == theme.WIDTH else 1) / width
  fig = figure.Figure(
      figsize=(columns * side * width, rows * (lines * _LINE * side + 0.3)),
      layout='constrained')
  grid = fig.subplots(rows, columns, squeeze=False).ravel()
  for ax in grid:
    panels.bare(ax)
  for ax, s in zip(grid, shown, strict=False):
    _draw_method(ax, s, palette)
    ax.set_title(s.name, loc='left')
    ax.set(xlim=(-0.1, width - 0.05), ylim=(lines * _LINE - 0.25, -0.4), aspect='equal')
  return fig


def _draw_method(ax: axes.Axes, shown: panels.Pictured, palette: theme.Palette) -> None:
  """Draws a line of images for each query, in units of the side of an image."""
  pictures = shown.pictures
  own = len(pictures.queries) - int(pictures.own_queries)
  for line, row in enumerate(pictures.queries):
    top, label = _LINE * line, pictures.labels[row]
    _image(ax, pictures.images[row], 0, top)
    ax.text(0, top - 0.04, _label(shown, row), fontsize=6.5, va='bottom')
    if line == own:
      ax.axhline(top - 0.42, color=palette.text, lw=0.6)
    for j, image in enumerate(pictures.neighbours[line]):
      left = _LEFT + _STEP * j
      _image(ax, image, left, top)
      if label >= 0:
        right = pictures.neighbour_labels[line, j] == label
        ax.add_patch(patches.Rectangle((left, top), 1, 1, fill=False, lw=1.5,
                                       edgecolor=panels.frame(right, palette)))


def _image(ax: axes.Axes, pixels: np.ndarray, left: float, top: float) -> None:
  pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
  ax.imshow(pixels, cmap='gray', vmin=0, vmax=255, interpolation='none',
            extent=(left, left + 1, top + 1, top))
