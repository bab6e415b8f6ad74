"""Shows the views of the training, and how similar two views of an image are."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import figure, patches

from ssl_jax.report import panels, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_BINS = np.linspace(-1, 1, 41)
_STATES = {'before': 'random weights', 'after': 'trained'}


def content(study: Study) -> Content:
  """Returns the figure of views and that of their similarities."""
  shown = panels.pictured(study)
  return Content(figures=[drawn(shown), similarity(shown)] if shown else [])


def drawn(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns the views of four training images, by augmentation."""
  recipes = distinct(shown)
  return theme.Figure(
      'views',
      'Training images and the views that the training step draws from them by the '
      'augmentation of each method. The box on an image is the part that the view of '
      'the same colour shows. Methods with the same augmentation share a panel; a '
      'method with one view of an image is shown with two draws.',
      'Training images with their augmented views, for '
      + '; '.join(', '.join(s.name for s in same) for same in recipes) + '.',
      lambda palette: _draw_views(recipes, palette), title='Views')


def distinct(shown: Sequence[panels.Pictured]) -> list[list[panels.Pictured]]:
  """Returns the methods in groups that have drawn the same views."""
  groups: list[list[panels.Pictured]] = []
  for s in shown:
    for group in groups:
      if _same(group[0].pictures.views, s.pictures.views):
        group.append(s)
        break
    else:
      groups.append([s])
  return groups


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
  return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def _draw_views(groups: Sequence[Sequence[panels.Pictured]],
                palette: theme.Palette) -> figure.Figure:
  """Draws a row of images for each group: an original and its views, and so on."""
  views = max(len(group[0].pictures.views) for group in groups)
  images = len(groups[0][0].pictures.originals)
  per_row = palette.columns(images, 0.9 * (views + 1))
  lines = math.ceil(images / per_row)
  side = palette.width / (per_row * (views + 1))
  fig = figure.Figure(
      figsize=(palette.width, len(groups) * (lines * side + 0.35)),
      layout='constrained')
  parts = fig.subfigures(len(groups), 1, squeeze=False)[:, 0]
  for part, group in zip(parts, groups, strict=True):
    pictures = group[0].pictures
    part.suptitle(', '.join(s.name for s in group), x=0.005, ha='left', fontsize=9)
    grid = part.subplots(lines, per_row * (views + 1), squeeze=False)
    for ax in grid.ravel():
      panels.bare(ax)
    for i, original in enumerate(pictures.originals):
      row, column = divmod(i, per_row)
      axes = grid[row, column * (views + 1):(column + 1) * (views + 1)]
      panels.image(axes[0], original)
      height, width = original.shape[:2]
      for v, (name, made) in enumerate(pictures.views.items()):
        color = palette.color(v)
        panels.image(axes[1 + v], made[i], color)
        if name in pictures.boxes:
          top, left, tall, wide = pictures.boxes[name][i] * np.tile(
              [height, width], 2)
          axes[0].add_patch(patches.Rectangle(
              (left - 0.5, top - 0.5), wide, tall, fill=False, color=color, lw=1.3,
              clip_on=False))
  return fig


def similarity(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns the distributions of the similarity of two views, before and after."""
  means = '; '.join(
      f'{s.name}: {_mean(s, "same/before")} and {_mean(s, "other/before")} before, '
      f'{_mean(s, "same/after")} and {_mean(s, "other/after")} after training'
      for s in shown)
  pairs = len(shown[0].pictures.similarities['same/after'])
  return theme.Figure(
      'similarity',
      'Cosine similarity of the features (minus their mean) of two views: of the same '
      'image (filled) and '
      f'of two different images (outlined), {pairs} pairs each, with the random '
      'weights before the training (above) and after it (below). A method that '
      'compares views moves the filled part to the right of the outlined one.',
      f'Mean similarity of views of the same and of different images. {means}.',
      lambda palette: _draw_similarity(shown, palette),
      title='Similarity of views before and after training')


def _mean(shown: panels.Pictured, key: str) -> str:
  return f'{shown.pictures.similarities[key].mean():.2f}'


def _draw_similarity(shown: Sequence[panels.Pictured],
                     palette: theme.Palette) -> figure.Figure:
  columns = palette.columns(min(4, len(shown)), 1.7)
  blocks = math.ceil(len(shown) / columns)
  fig = figure.Figure(figsize=(palette.width, 2.5 * blocks), layout='constrained')
  grid = fig.subplots(2 * blocks, columns, squeeze=False, sharex=True)
  for ax in grid.ravel():
    ax.set_visible(False)
  for i, s in enumerate(shown):
    block, column = divmod(i, columns)
    for row, (state, words) in enumerate(_STATES.items()):
      ax = grid[2 * block + row, column]
      ax.set_visible(True)
      ax.set_yticks([])
      ax.grid(False)
      ax.spines['left'].set_visible(False)
      ax.hist(s.pictures.similarities[f'same/{state}'], _BINS, density=True,
              color=palette.color(s.index), alpha=0.55)
      ax.hist(s.pictures.similarities[f'other/{state}'], _BINS, density=True,
              histtype='step', color=palette.text, lw=0.9)
      ax.set_xlim(_lowest(shown), 1.02)
      if column == 0:
        ax.set_ylabel(words)
      if row == 0:
        ax.set_title(s.name, loc='left')
      else:
        ax.set_xlabel('cosine similarity')
  return fig


def _lowest(shown: Sequence[panels.Pictured]) -> float:
  """Returns the left end of the axis, so that it has the lowest similarity."""
  low = min(v.min() for s in shown for v in s.pictures.similarities.values())
  return max(-1.02, math.floor(10 * low) / 10 - 0.02)
