"""How figures look: colours that follow the reader's light or dark setting.

A `Plot` says what a figure shows; it is drawn once per theme.
"""

import dataclasses
import io
from collections.abc import Callable

import matplotlib
from matplotlib import axes, figure

# Okabe and Ito's palette (without yellow and black): told apart by every common
# kind of colour vision, on white and on near-black.
_COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00')
_DARK_COLOURS = {'#0072B2': '#4AA3DF'}  # the blue is too dim on near-black
WIDTH = 7.2  # inches


@dataclasses.dataclass(frozen=True)
class Theme:
  """Colours of text, lines and ground."""

  ink: str
  faint: str
  ground: str
  dark: bool = False

  def colour(self, i: int) -> str:
    """The colour of the study's method number `i`."""
    colour = _COLOURS[i % len(_COLOURS)]
    return _DARK_COLOURS.get(colour, colour) if self.dark else colour


LIGHT = Theme(ink='#24272b', faint='#dfe2e6', ground='#ffffff')
DARK = Theme(ink='#d7dade', faint='#34393f', ground='#15171a', dark=True)


@dataclasses.dataclass(frozen=True)
class Plot:
  """A figure: its file name without extension, what it says, how to draw it."""

  name: str
  caption: str
  alt: str
  draw: Callable[[Theme], figure.Figure]


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
      'lines.solid_capstyle': 'round'}
  out = io.BytesIO()
  with matplotlib.rc_context(settings):
    plot.draw(theme).savefig(
        out, format=suffix, dpi=200, bbox_inches='tight', pad_inches=0.04,
        facecolor='none' if suffix == 'svg' else theme.ground,
        metadata={'Date': None} if suffix == 'svg' else {'Software': None})
  return out.getvalue()


def legend(fig: figure.Figure, ax: axes.Axes) -> None:
  """One legend above the panels, taken from the lines of `ax`."""
  handles, labels = ax.get_legend_handles_labels()
  fig.legend(handles, labels, loc='outside upper left', ncols=min(4, len(labels)),
             handlelength=1.4, columnspacing=1.6, borderpad=0.35, borderaxespad=0)
