"""How figures look: colours that follow the reader's light or dark setting.

A `Plot` says what a figure shows; it is drawn once per theme.
"""

import dataclasses
import io
import textwrap
from collections.abc import Callable, Sequence

import matplotlib
from matplotlib import axes, figure

from ssl_jax.report import tables

# Okabe and Ito's palette (without yellow and black): told apart by every common
# kind of colour vision, on white and on near-black.
_COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00')
_DARK_COLOURS = {'#0072B2': '#4AA3DF'}  # the blue is too dim on near-black
_DASHES = ('-', (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_MARKERS = 'osD^vP'  # told apart without colour
WIDTH = 7.2  # inches


@dataclasses.dataclass(frozen=True)
class Theme:
  """Colours of text, lines and ground; `heat`, low and high, is to write on."""

  ink: str
  faint: str
  ground: str
  heat: tuple[str, str]
  dark: bool = False

  def colour(self, i: int) -> str:
    """The colour of the study's method number `i`."""
    colour = _COLOURS[i % len(_COLOURS)]
    return _DARK_COLOURS.get(colour, colour) if self.dark else colour


LIGHT = Theme(ink='#24272b', faint='#dfe2e6', ground='#ffffff',
              heat=('#f1f3f5', '#3d9fdb'))
DARK = Theme(ink='#d7dade', faint='#34393f', ground='#15171a',
             heat=('#23282e', '#0072b2'), dark=True)


def dash(i: int) -> str | tuple:
  """Line style number `i`."""
  return _DASHES[i % len(_DASHES)]


def marker(i: int) -> str:
  """Marker number `i`."""
  return _MARKERS[i % len(_MARKERS)]


def turn(i: int) -> int:
  """How often all colours are used up before method number `i`."""
  return i // len(_COLOURS)


def ink_on(colour: Sequence[float]) -> str:
  """Black or white, whichever has the higher contrast (WCAG 2) on RGB in [0, 1]."""
  linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055)**2.4
            for c in colour[:3]]
  luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
  return '#000000' if (luminance + 0.05)**2 > 1.05 * 0.05 else '#ffffff'


@dataclasses.dataclass(frozen=True)
class Plot:
  """A figure: its file name without extension, what it says, how to draw it.

  table: the numbers, to stand under it. footer: a warning to write into the image.
  """

  name: str
  caption: str
  alt: str
  draw: Callable[[Theme], figure.Figure]
  table: tables.Table | None = None
  footer: str = ''


def render(plot: Plot, theme: Theme, suffix: str) -> bytes:
  """Draws a plot as 'svg' (transparent) or 'png' (on the theme's ground).

  The same data gives the same bytes.
  """
  settings = {
      # Text stays text: a reader's own fonts, and a small file.
      'svg.fonttype': 'none', 'svg.hashsalt': plot.name,
      'font.family': 'sans-serif', 'font.size': 8.5,
      'font.sans-serif': ['Inter', 'Helvetica Neue', 'Helvetica', 'Arial',
                          'Liberation Sans', 'DejaVu Sans'],
      'axes.spines.top': False, 'axes.spines.right': False,
      'axes.edgecolor': theme.ink, 'axes.labelcolor': theme.ink,
      'axes.linewidth': 0.6, 'axes.facecolor': 'none', 'axes.grid': True,
      'axes.grid.axis': 'y', 'axes.axisbelow': True, 'axes.titlesize': 9,
      'axes.titlecolor': theme.ink,
      'grid.color': theme.faint, 'grid.linewidth': 0.6, 'text.color': theme.ink,
      'xtick.color': theme.ink, 'ytick.color': theme.ink, 'ytick.major.size': 0,
      'xtick.major.width': 0.6, 'legend.frameon': False,
      'lines.solid_capstyle': 'round', 'figure.constrained_layout.h_pad': 0.07}
  out = io.BytesIO()
  with matplotlib.rc_context(settings):
    drawn = plot.draw(theme)
    if plot.footer:
      below = -0.08 / drawn.get_figheight()  # saving grows the image around it
      drawn.text(0, below, textwrap.fill(plot.footer, 130), va='top', fontsize=7,
                 fontstyle='italic')
    drawn.savefig(
        out, format=suffix, dpi=200, bbox_inches='tight', pad_inches=0.04,
        facecolor='none' if suffix == 'svg' else theme.ground,
        metadata={'Date': None} if suffix == 'svg' else {'Software': None})
  return out.getvalue()


def legend(fig: figure.Figure, *panels: axes.Axes) -> None:
  """One legend above the panels, of all their lines, a name once."""
  named = {}
  for ax in panels:
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
      named.setdefault(label, handle)
  widest = max(map(len, named), default=0)  # about 0.065 inches a letter
  fits = max(1, int(WIDTH / (0.065 * widest + 0.5)))
  fig.legend(named.values(), named.keys(), loc='outside upper left',
             ncols=min(4, fits, len(named)), handlelength=2.2, columnspacing=1.6,
             borderpad=0.35, borderaxespad=0)
