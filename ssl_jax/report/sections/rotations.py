"""Shows rotated images with predicted probabilities, and the accuracy by class."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import figure

from ssl_jax.report import panels, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_MOST_CLASSES = 30  # a figure with more classes is not readable


def content(study: Study) -> Content:
  """Returns the figures of the methods that predict rotations."""
  shown = [s for s in panels.pictured(study) if s.pictures.rotated is not None]
  by_class = [s for s in shown
              if 0 < len(s.pictures.rotation_accuracy) <= _MOST_CLASSES]
  return Content(figures=[*map(predictions, shown),
                          *([accuracy(by_class)] if by_class else [])])


def _degrees(shown: panels.Pictured) -> list[str]:
  return [f'{90 * k}°' for k in shown.pictures.rotations]


def predictions(shown: panels.Pictured) -> theme.Figure:
  """Returns the rotations of test images with the predicted probabilities."""
  probabilities = shown.pictures.rotation_probabilities
  right = (probabilities.argmax(2) == np.arange(probabilities.shape[1])).sum()
  return theme.Figure(
      f'rotations_{shown.index}',
      f'{shown.name}: test images in every rotation (counter-clockwise), and below '
      'each the predicted probabilities of the rotations. The bar of the true '
      'rotation is coloured; the frame is green if it is the highest.',
      f'{right} of {probabilities.shape[0] * probabilities.shape[1]} rotated images '
      f'that are shown are recognised by {shown.name}.',
      lambda palette: _draw(shown, palette), title=f'Rotations, {shown.name}')


def _draw(shown: panels.Pictured, palette: theme.Palette) -> figure.Figure:
  pictures, names = shown.pictures, _degrees(shown)
  images, turns = pictures.rotated.shape[:2]
  per_row = palette.columns(images, 0.8 * turns)
  rows = math.ceil(images / per_row)
  side = palette.width / (per_row * turns)
  fig = figure.Figure(figsize=(palette.width, rows * (1.75 * side + 0.15)),
                      layout='constrained')
  grid = fig.subplots(2 * rows, per_row * turns, squeeze=False,
                      height_ratios=[1, 0.5] * rows)
  for ax in grid.ravel():
    ax.set_visible(False)
  for i in range(images):
    row, column = divmod(i, per_row)
    for turn in range(turns):
      above, below = grid[2 * row:2 * row + 2, column * turns + turn]
      above.set_visible(True)
      below.set_visible(True)
      values = pictures.rotation_probabilities[i, turn]
      right = values.argmax() == turn
      panels.image(above, pictures.rotated[i, turn], panels.frame(right, palette))
      below.bar(range(turns), values, width=0.75, color=[
          palette.color(shown.index) if k == turn else palette.grid_line
          for k in range(turns)])
      panels.bare(below)
      below.set_ylim(0, 1)
      below.set_xticks(range(turns), names, fontsize=5, rotation=90 * (turns > 2))
      below.tick_params(length=0, pad=1)
      below.axhline(0, color=palette.text, lw=0.5)
  return fig


def accuracy(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns the accuracy of the prediction of rotations by class of the image."""
  names = panels.names_of_classes(shown)
  chance = 100 / len(shown[0].pictures.rotations)
  words = '; '.join(
      f'{s.name}: best on {names[np.nanargmax(v)]} ({100 * np.nanmax(v):.1f} %), worst '
      f'on {names[np.nanargmin(v)]} ({100 * np.nanmin(v):.1f} %)'
      for s in shown for v in [s.pictures.rotation_accuracy])
  return theme.Figure(
      'rotation_accuracy',
      'Accuracy of the predicted rotations by class of the image, over all rotations '
      f'of at most 500 test images. The line is chance ({chance:.0f} %).',
      f'Rotation accuracy by class. {words}.',
      lambda palette: _draw_accuracy(shown, chance, palette),
      title='Rotation accuracy by class')


def _draw_accuracy(shown: Sequence[panels.Pictured], chance: float,
                   palette: theme.Palette) -> figure.Figure:
  names = panels.names_of_classes(shown)
  fig = figure.Figure(figsize=(palette.width, 0.9 + 0.22 * len(names)),
                      layout='constrained')
  ax = fig.subplots()
  for s in shown:
    ax.plot(100 * s.pictures.rotation_accuracy, range(len(names)), ls='', ms=5,
            marker=theme.marker(s.index), color=palette.color(s.index), label=s.name)
  ax.axvline(chance, color=palette.text, lw=0.8, ls=(0, (3, 2)))
  ax.set_yticks(range(len(names)), names)
  ax.invert_yaxis()
  ax.set_xlim(0, 101)
  ax.set_xlabel('rotations recognised (%)')
  ax.grid(axis='both')
  ax.spines['left'].set_visible(False)
  theme.legend(fig, ax)
  return fig
