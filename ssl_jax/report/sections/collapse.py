"""Shows how features use their space, and warns of collapse."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib import figure

from ssl_jax.report import panels, tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_HIGHEST_UNIFORMITY = -0.004  # about -2 times the mean squared distance of images


def content(study: Study) -> Content:
  """Returns the figure of spectra with its table, and the warnings."""
  shown = panels.pictured(study)
  if not shown:
    return Content()
  return Content(figures=[spectra(shown)],
                 findings={'Use of the feature space': list(warnings(shown))})


def warnings(shown: Sequence[panels.Pictured]) -> Iterator[str]:
  """Yields a sentence for each method that has collapsed, or one that none has.

  Features that separate K classes linearly need up to K - 1 directions, so an effective
  rank of fewer than half of these is called a collapse.
  """
  collapsed = False
  for s in shown:
    rank = float(s.pictures.quality['effective_rank/after'])
    classes = len(s.pictures.class_names)
    least = max(2.0, (classes - 1) / 2)
    uniformity = float(s.pictures.quality['uniformity/after'])
    if uniformity > _HIGHEST_UNIFORMITY:
      collapsed = True
      yield (f'Warning of collapse: {s.name} maps different images to almost the same '
             f'direction (uniformity {uniformity:.1g}; 0 means the same one).')
    if rank < least:
      collapsed = True
      yield (f'Warning of collapse: the features of {s.name} effectively vary in '
             f'{rank:.1f} of {_dimensions(s)} directions'
             + (f', too few for {classes} classes.' if classes else '.'))
  if not collapsed:
    yield ('No method has collapsed: the features of all vary in enough directions, '
           'and different images have different features.')


def _dimensions(shown: panels.Pictured) -> int:
  return len(shown.pictures.spectra['after'])


def spectra(shown: Sequence[panels.Pictured]) -> theme.Figure:
  """Returns the singular values of the features of each method."""
  ranks = '; '.join(f'{s.name}: {_value(s, "effective_rank/after", 1)}' for s in shown)
  return theme.Figure(
      'spectra',
      'Singular values of the centred features of test images, relative to the largest '
      '(solid), and those before the training, with random weights (dotted). A curve '
      'that falls steeply means that features vary in few directions.',
      f'Spectra of the features. Effective rank: {ranks}.',
      lambda palette: _draw(shown, palette), table(shown),
      title='Spectrum and effective rank')


def table(shown: Sequence[panels.Pictured]) -> tables.Table:
  """Returns effective rank, alignment and uniformity, before and after training."""
  rows = tuple(tables.text_cells(
      s.name, str(_dimensions(s)), *(
          ' → '.join(_value(s, f'{name}/{when}', digits)
                     for when in ('before', 'after'))
          for name, digits in (('effective_rank', 1), ('alignment', 3),
                               ('uniformity', 2)))) for s in shown)
  return tables.Table(
      'Use of the feature space, with random weights → after training.',
      ('Method', 'Dimensions', 'Effective rank', 'Alignment', 'Uniformity'), rows, (
          'Effective rank: exp of the entropy of the singular values (Roy & Vetterli '
          '2007), the number of directions in which features vary. Alignment: mean '
          'squared distance of the features of two views of an image; lower is closer. '
          'Uniformity: log of the mean of exp(−2 d²) over pairs of test images at '
          'distance d; lower is more evenly spread (Wang & Isola 2020; both of unit '
          'vectors). A good representation has both low.',))


def _value(shown: panels.Pictured, name: str, digits: int) -> str:
  return f'{float(shown.pictures.quality[name]):.{digits}f}'.replace('-', '−')


def _draw(shown: Sequence[panels.Pictured], palette: theme.Palette) -> figure.Figure:
  fig = figure.Figure(figsize=(palette.width, 2.7), layout='constrained')
  ax = fig.subplots()
  for s in shown:
    for when, style in (('before', (0, (1, 1.5))), ('after', '-')):
      values = s.pictures.spectra[when]
      values = values[values > 0] / max(values[0], 1e-300)
      ax.plot(np.arange(1, len(values) + 1), values, color=palette.color(s.index),
              lw=1.7 if when == 'after' else 0.9, linestyle=style,
              label=s.name if when == 'after' else None)
  ax.set_yscale('log')
  ax.set_ylim(bottom=max(1e-5, ax.get_ylim()[0]), top=1.3)
  ax.set_xlabel('principal direction')
  ax.set_ylabel('singular value / largest')
  ax.grid(axis='both')
  theme.legend(fig, ax)
  return fig
