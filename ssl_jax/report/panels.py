"""Draws images in the panels of a figure."""

import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import axes
from PIL import Image

from ssl_jax.report import theme
from ssl_jax.report.pictures import Pictures
from ssl_jax.report.study import Study


@dataclasses.dataclass(frozen=True, eq=False)
class Pictured:
  """Holds one method with the pictures of its first seed that has any.

  Attributes:
    name: the method's name to print.
    index: the method's number, which gives its colour.
    pictures: the pictures.
  """

  name: str
  index: int
  pictures: Pictures


def pictured(study: Study) -> list[Pictured]:
  """Returns the listed methods that have pictures."""
  found = []
  for i, method in enumerate(study.listed_methods):
    for run in study.runs_of(method):
      if run.pictures is not None:
        found.append(Pictured(study.display_name(method), i, run.pictures))
        break
  return found


def bare(ax: axes.Axes) -> axes.Axes:
  """Removes ticks, grid and frame, and returns the axes."""
  ax.set_xticks([])
  ax.set_yticks([])
  ax.grid(False)
  ax.spines[:].set_visible(False)
  return ax


def image(ax: axes.Axes, pixels: np.ndarray, frame: str = '') -> None:
  """Draws one image on bare axes; viewers enlarge its pixels without blurring them.

  Args:
    ax: the axes.
    pixels: uint8 [H, W, C].
    frame: colour of a frame; '' for none.
  """
  bare(ax)
  pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
  ax.imshow(pixels, cmap='gray', vmin=0, vmax=255, interpolation='none')
  if frame:
    ax.spines[:].set(visible=True, color=frame, linewidth=1.8)


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1,
           fill: float = np.nan) -> np.ndarray:
  """Joins tiles [n, h, w, ...] into one array, row by row.

  Args:
    tiles: the tiles.
    columns: tiles in a row.
    gap: pixels between two tiles.
    fill: value of the gaps and of missing tiles.
  """
  n, h, w = tiles.shape[:3]
  rows = math.ceil(n / columns)
  shape = (rows * (h + gap) - gap, columns * (w + gap) - gap, *tiles.shape[3:])
  out = np.full(shape, fill, np.result_type(tiles, type(fill)))
  for i, tile in enumerate(tiles):
    top, left = i // columns * (h + gap), i % columns * (w + gap)
    out[top:top + h, left:left + w] = tile
  return out


def enlarged(tiles: np.ndarray, side: int) -> np.ndarray:
  """Repeats the pixels of tiles [n, h, w, ...] until they have about `side` rows.

  The gaps of a mosaic then have one width, whatever the size of the tiles.
  """
  factor = max(1, round(side / tiles.shape[1]))
  return tiles.repeat(factor, 1).repeat(factor, 2)


def sprite(images: np.ndarray) -> tuple[bytes, int]:
  """Returns all images [n, h, w, C] in one WebP file, and the images in a row."""
  columns = math.ceil(math.sqrt(len(images)))
  sheet = mosaic(images, columns, 0, 0).astype(np.uint8)
  sheet = sheet[..., 0] if sheet.shape[-1] == 1 else sheet
  out = io.BytesIO()
  Image.fromarray(sheet).save(out, 'WEBP', quality=60, method=4)
  return out.getvalue(), columns


def names_of_classes(shown: Sequence[Pictured]) -> tuple[str, ...]:
  """Returns the names of the classes of the first method's images."""
  return shown[0].pictures.class_names


def frame(right: bool, palette: theme.Palette) -> str:
  """Returns the colour of a frame around a right or a wrong image."""
  return ('#3fbf8f' if palette.dark else '#009E73') if right else '#D55E00'
