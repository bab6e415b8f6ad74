"""Defines the figures of a report and their style, for light and dark pages.

A `Figure` describes its content, and is drawn once for each palette.
"""

import dataclasses
import io
import re
import textwrap
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
from matplotlib import axes, figure

from ssl_jax.report import tables

# Okabe and Ito's palette without yellow and black. People with every common kind of
# colour vision can distinguish these colours, on white and on near-black.
_COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00')
_DARK_COLORS = {'#0072B2': '#4AA3DF'}  # the blue is too dim on near-black
_LINE_STYLES = ('-', (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_MARKERS = 'osD^vP'  # for readers who see no colours
WIDTH = 7.2   # inches
NARROW = 3.7  # inches, for phones
_DPI = {'png': 200, 'webp': 200, 'svg': 110}  # of clouds of points in SVG
_FORMATS = {'png': {'metadata': {'Software': None}},
            'svg': {'metadata': {'Date': None}},
            'webp': {'pil_kwargs': {'quality': 80}}}
_CLASS_COLORS = (  # of matplotlib's tab10 and tab20, for up to 20 classes
    '#1f77b4', '#ff7f0e', '#2ca02c', '#d62728', '#9467bd', '#8c564b', '#e377c2',
    '#7f7f7f', '#bcbd22', '#17becf', '#aec7e8', '#ffbb78', '#98df8a', '#ff9896',
    '#c5b0d5', '#c49c94', '#f7b6d2', '#c7c7c7', '#dbdb8d', '#9edae5')


@dataclasses.dataclass(frozen=True)
class Palette:
  """Holds the colours of text, grid lines and background.

  Attributes:
    text: colour of text.
    grid_line: colour of grid lines.
    background: colour of the page.
    heat: the colours of the lowest and the highest value of a heat map; text is
      readable on both.
    dark: whether the background is dark.
    width: width of figures in inches, WIDTH or NARROW.
  """

  text: str
  grid_line: str
  background: str
  heat: tuple[str, str]
  dark: bool = False
  width: float = WIDTH

  def columns(self, wanted: int, inches: float) -> int:
    """Returns how many panels fit side by side, at least 1 and at most `wanted`.

    Args:
      wanted: number of panels that there are, or that suit a wide page.
      inches: least width of a panel.
    """
    return max(1, min(wanted, int(self.width / inches)))

  @property
  def narrow(self) -> 'Palette':
    """Returns the same colours for a phone."""
    return dataclasses.replace(self, width=NARROW)

  def color(self, i: int) -> str:
    """Returns the colour of the study's method number `i`."""
    color = _COLORS[i % len(_COLORS)]
    return _DARK_COLORS.get(color, color) if self.dark else color


LIGHT = Palette(text='#24272b', grid_line='#dfe2e6', background='#ffffff',
                heat=('#f1f3f5', '#3d9fdb'))
DARK = Palette(text='#d7dade', grid_line='#34393f', background='#15171a',
               heat=('#23282e', '#0072b2'), dark=True)


def class_color(i: int, classes: int) -> tuple[float, ...] | str:
  """Returns a colour for class `i` of `classes`; at most 20 are easy to distinguish."""
  if classes <= len(_CLASS_COLORS):
    return _CLASS_COLORS[i]
  return matplotlib.colormaps['hsv'](i / classes)


def line_style(i: int) -> str | tuple:
  """Returns line style number `i`, as matplotlib's `linestyle`."""
  return _LINE_STYLES[i % len(_LINE_STYLES)]


def marker(i: int) -> str:
  """Returns marker number `i`, as matplotlib's `marker`."""
  return _MARKERS[i % len(_MARKERS)]


def color_cycle(i: int) -> int:
  """Returns how many times all colours are used before method number `i`."""
  return i // len(_COLORS)


def text_color_on(background: Sequence[float]) -> str:
  """Returns black or white, whichever has the higher contrast (WCAG 2).

  Args:
    background: RGB, possibly followed by alpha, in [0, 1].
  """
  linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055)**2.4
            for c in background[:3]]
  luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
  return '#000000' if (luminance + 0.05)**2 > 1.05 * 0.05 else '#ffffff'


@dataclasses.dataclass(frozen=True, eq=False)
class Hover:
  """Describes points of several panels that stand for the same n images.

  Attributes:
    panels: the panels' boxes for a width: fractions left, top, width and height of the
      figure, one row per panel.
    points: positions in a panel, fractions from its left and its top [panels, n, 2].
    texts: a text for each panel and image.
    sprite: all images in one, as WebP.
    columns: images in a row of the sprite.
    size: width and height of each image in the sprite, in pixels.
  """

  panels: Callable[[Palette], Sequence[Sequence[float]]]
  points: np.ndarray
  texts: Sequence[Sequence[str]]
  sprite: bytes
  columns: int
  size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Figure:
  """Describes one figure of a report.

  Attributes:
    name: its file name without extension.
    caption: sentences printed below it.
    alt: the alternative text, with the most important numbers.
    draw: draws it in the colours of a palette.
    table: the same numbers as a table, printed below it, or None.
    title: a few words for the table of contents; by default the first words of the
      caption.
    raster: whether the page shows it as pixels, because it has thousands of points.
    hover: the points whose images the page shows under the mouse, or None. Such a
      figure is not cropped, so that its panels stay where `hover` says.
  """

  name: str
  caption: str
  alt: str
  draw: Callable[[Palette], figure.Figure]
  table: tables.Table | None = None
  title: str = ''
  raster: bool = False
  hover: Hover | None = None

  @property
  def heading(self) -> str:
    """Returns the title, or else the caption up to its first punctuation."""
    return self.title or re.split(r'[.:,(]', self.caption)[0].strip()


def render(drawing: Figure, palette: Palette, suffix: str, footer: str = '') -> bytes:
  """Returns the bytes of an image file; the same data gives the same bytes.

  Args:
    drawing: the figure.
    palette: its colours.
    suffix: 'svg' (transparent), or 'png' or 'webp' (on the palette's background).
    footer: a warning that is written below the figure, inside the image.
  """
  settings = {
      # Text is not converted to paths: files are smaller, and the reader's fonts are
      # used.
      'svg.fonttype': 'none', 'svg.hashsalt': drawing.name,
      'font.family': 'sans-serif', 'font.size': 8.5,
      'font.sans-serif': ['Inter', 'Helvetica Neue', 'Helvetica', 'Arial',
                          'Liberation Sans', 'DejaVu Sans'],
      'axes.spines.top': False, 'axes.spines.right': False,
      'axes.edgecolor': palette.text, 'axes.labelcolor': palette.text,
      'axes.linewidth': 0.6, 'axes.facecolor': 'none', 'axes.grid': True,
      'axes.grid.axis': 'y', 'axes.axisbelow': True, 'axes.titlesize': 9,
      'axes.titlecolor': palette.text,
      'grid.color': palette.grid_line, 'grid.linewidth': 0.6,
      'text.color': palette.text, 'xtick.color': palette.text,
      'ytick.color': palette.text, 'ytick.major.size': 0,
      'xtick.major.width': 0.6, 'legend.frameon': False,
      'lines.solid_capstyle': 'round', 'figure.constrained_layout.h_pad': 0.07}
  out = io.BytesIO()
  with matplotlib.rc_context(settings):
    drawn = drawing.draw(palette)
    if footer:
      below = -0.08 / drawn.get_figheight()  # the saved image is extended to hold it
      drawn.text(0, below, textwrap.fill(footer, 130), va='top', fontsize=7,
                 fontstyle='italic')
    drawn.savefig(
        out, format=suffix, dpi=_DPI[suffix], pad_inches=0.04,
        bbox_inches='tight' if footer or not drawing.hover else None,
        facecolor='none' if suffix == 'svg' else palette.background,
        **_FORMATS[suffix])
  return _compact(out.getvalue()) if suffix == 'svg' else out.getvalue()


def _compact(svg: bytes) -> bytes:
  """Returns an SVG without metadata, line breaks and decimals that nobody sees.

  Encoded images inside it have no dots, so they do not change.
  """
  svg = re.sub(rb'<metadata>.*?</metadata>|<!--.*?-->', b'', svg, flags=re.DOTALL)
  svg = re.sub(rb'(\d\.\d\d\d)\d+', rb'\1', svg)
  return re.sub(rb'\s*\n\s*', b' ', svg).replace(b'> <', b'><')


def legend(fig: figure.Figure, *panels: axes.Axes) -> None:
  """Draws one legend above the panels that names each line once.

  Args:
    fig: the figure.
    *panels: the axes whose lines are named.
  """
  named = {}
  for ax in panels:
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
      named.setdefault(label, handle)
  widest = max(map(len, named), default=0)  # a letter is about 0.065 inches wide
  fits = max(1, int(fig.get_figwidth() / (0.065 * widest + 0.5)))
  fig.legend(named.values(), named.keys(), loc='outside upper left',
             ncols=min(4, fits, len(named)), handlelength=2.2, columnspacing=1.6,
             borderpad=0.35, borderaxespad=0)
