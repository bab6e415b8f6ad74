"""Compares compressed networks: accuracy against bytes, table and sentences.

A network is compressed by one of these protocols: its weights are pruned while it is
fine-tuned; or before, on the task that it was pre-trained on, possibly while it
imitates the dense encoder; or at random.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import figure, ticker

from ssl_jax.report import statistics, tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import MethodEvaluation, Study

TUNING, PRETEXT, RANDOM, DISTILLED = PROTOCOLS = (
    'pruned while fine-tuning', 'pruned on the pretext task', 'random masks',
    'pruned on the pretext task with distillation')
# Protocols that are compared at equal sparsity, the first minus the second.
_COMPARED = ((PRETEXT, TUNING), (DISTILLED, PRETEXT), (TUNING, RANDOM))
_HEADING = 'Compression'


@dataclasses.dataclass(frozen=True)
class Point:
  """Holds one compressed network, on one subset of the labels.

  Attributes:
    entry: the method and its evaluation, which compressed the network.
    network: the method that trained the network before any compression.
    protocol: an entry of PROTOCOLS.
    target: the fraction of the prunable weights that was to be pruned.
    group: the group of the evaluation, or the evaluation.
    column: the label subset; '' if the evaluation belongs to no group.
    bytes: mean size of the file.
    float32: bytes of the same network in float32.
    sparsity: mean fraction of the weights of all kernels that are zero.
    accuracy: mean test accuracy in percent.
  """
  entry: MethodEvaluation
  network: str
  protocol: str
  target: float
  group: str
  column: str
  bytes: float
  float32: float
  sparsity: float
  accuracy: float


@dataclasses.dataclass(frozen=True)
class Line:
  """Holds the networks of one width and one protocol, for all label subsets.

  Attributes:
    network: the method that trained the network.
    protocol: an entry of PROTOCOLS; '' if nothing is pruned.
    points: those that are pruned by the protocol, and those that are not pruned; by
      label subset, then by bytes.
  """
  network: str
  protocol: str
  points: tuple[Point, ...]

  def name(self, study: Study) -> str:
    """Returns the name to print."""
    return f'{study.display_name(self.network)}, {self.protocol or "not pruned"}'


def content(study: Study) -> Content:
  """Returns the figure with its table, and the comparisons in words."""
  return Content(figures=figures(study), findings=findings(study))


def points(study: Study) -> list[Point]:
  """Returns all compressed networks with results, methods in the study's order."""
  found = []
  for method, evaluation in itertools.product(study.listed_methods, study.evaluations):
    group, column = study.label_subsets.get(evaluation, (evaluation, ''))
    how = _fields(study, 'evaluations', group).get('compression')
    results = [r for r in study.results(method, evaluation) if r.packed]
    if how and results:
      mean = lambda name, results=results: np.mean([r.packed[name] for r in results])
      before = _fields(study, 'methods', method)
      found.append(Point(
          (method, evaluation), before.get('compressed_from', method),
          _protocol(before.get('compression') or {}, how), how['sparsity'], group,
          column, mean('bytes'), mean('float32'), mean('sparsity'),
          100 * study.accuracy(method, evaluation).mean()))
  return found


def _protocol(before: Mapping[str, Any], tuning: Mapping[str, Any]) -> str:
  """Returns the entry of PROTOCOLS of two sections `compression`.

  Args:
    before: that of the pretext task, or an empty one.
    tuning: that of the fine-tuning.
  """
  if tuning.get('criterion') == 'random':
    return RANDOM
  if not before.get('sparsity'):
    return TUNING
  return DISTILLED if before.get('distillation') else PRETEXT


def _fields(study: Study, section: str, name: str) -> dict[str, Any]:
  return study.config.get(section, {}).get(name) or {}


def lines(study: Study) -> list[Line]:
  """Returns the lines of the figure: networks by protocols."""
  everything, found = points(study), []
  columns = list(dict.fromkeys(p.column for p in everything))
  for network in dict.fromkeys(p.network for p in everything):
    own = [p for p in everything if p.network == network]
    dense = [p for p in own if not p.target]
    used = [name for name in PROTOCOLS
            if any(p.target and p.protocol == name for p in own)]
    for name in used or ['']:
      pruned = [p for p in own if p.target and p.protocol == name]
      if name != RANDOM:
        pruned += dense
      found.append(Line(network, name, tuple(
          sorted(pruned, key=lambda p: (columns.index(p.column), p.bytes)))))
  return found


def table(study: Study) -> tables.Table:
  """Returns size, sparsity and accuracy: a row for each compression of a method."""
  everything = points(study)
  columns = list(dict.fromkeys(p.column for p in everything))
  rows = []
  for method, group in dict.fromkeys((p.entry[0], p.group) for p in everything):
    own = {p.column: p for p in everything if (p.entry[0], p.group) == (method, group)}
    mean = lambda name, own=own: np.mean([getattr(p, name) for p in own.values()])
    name = study.display_names.get(
        f'{method}/{group}',
        f'{study.display_name(method)}, {study.display_name(group)}')
    rows.append((
        *tables.text_cells(name, f'{100 * mean("sparsity"):.2f}',
                           f'{mean("bytes"):,.0f}',
                           f'{mean("float32") / mean("bytes"):.1f}'),
        *(tables.mean_and_sd(100 * study.accuracy(*own[c].entry)) if c in own
          else tables.Cell(tables.ABSENT) for c in columns)))
  return tables.Table(
      'Compressed networks: weights that are zero (in % of the weights of all '
      'kernels), bytes of the file, how many times fewer than in float32, and test '
      'accuracy of the network in the file in %, mean ± sample standard deviation '
      '(number of seeds).',
      ('Network', 'zeros', 'bytes', 'times fewer',
       *(study.display_name(c) if c else 'accuracy' for c in columns)), tuple(rows))


def figures(study: Study) -> list[theme.Figure]:
  """Returns accuracy against bytes, a panel for each label subset."""
  found = lines(study)
  if not found:
    return []
  ends = '; '.join(
      f'{line.name(study)}: {min(sizes):,.0f} to {max(sizes):,.0f} bytes'
      for line in found for sizes in [[p.bytes for p in line.points]])
  bars = statistics.bars_in_words(
      100 * study.accuracy(*p.entry) for line in found for p in line.points)
  return [theme.Figure(
      'compression', 'Test accuracy against the size of the file of the compressed '
      f'network, by share of labels: mean over seeds{bars}. A line joins the '
      'sparsities of one network; its largest file is not pruned, only quantized.',
      f'Accuracy against bytes of compressed networks. {ends}.',
      lambda palette: _draw(study, found, palette), table(study))]


def _draw(study: Study, found: Sequence[Line],
          palette: theme.Palette) -> figure.Figure:
  panels = list(dict.fromkeys(p.column for line in found for p in line.points))
  networks = list(dict.fromkeys(line.network for line in found))
  columns = palette.columns(min(2, len(panels)), 2.2)
  rows = math.ceil(len(panels) / columns)
  height = 2.4 * rows + 0.17 * len(found)  # with the lines of the legend
  fig = figure.Figure(figsize=(palette.width, height), layout='constrained')
  grid = fig.subplots(rows, columns, squeeze=False, sharey=True, sharex=True).ravel()
  for ax, panel in zip(grid, panels, strict=False):
    for line in found:
      own = [p for p in line.points if p.column == panel]
      style = PROTOCOLS.index(line.protocol or TUNING)
      if own:
        bars = np.stack([statistics.error_bars(100 * study.accuracy(*p.entry))
                         for p in own], axis=1)
        ax.errorbar([p.bytes for p in own], [p.accuracy for p in own],
                    yerr=bars if bars.any() else None, label=line.name(study),
                    color=palette.color(networks.index(line.network)), lw=1.5,
                    marker=theme.marker(style), ms=4.5, elinewidth=0.9,
                    linestyle=theme.line_style(style))
    title = f'{study.display_name(panel)} of the labels' if panel else ''
    ax.set_title(title, loc='left')
    ax.set_xscale('log')
    ax.xaxis.set_major_formatter(ticker.EngFormatter(unit='B'))
    ax.xaxis.set_minor_formatter(ticker.NullFormatter())
  for ax in grid[::columns]:
    ax.set_ylabel('test accuracy (%)')
  for ax in grid[max(0, len(panels) - columns):len(panels)]:
    ax.set_xlabel('bytes of the file (log scale)')
  for ax in grid[len(panels):]:
    ax.set_visible(False)
  theme.legend(fig, *grid)
  return fig


def findings(study: Study) -> dict[str, list[str]]:
  """Returns comparisons of two widths, and of two protocols, where both have results.

  Widths are compared at equal sparsity and at equal bytes.
  """
  widths, protocols = [], []
  for a, b in itertools.permutations(lines(study), 2):
    if a.network == b.network and (a.protocol, b.protocol) in _COMPARED:
      protocols.extend(_versus(study, a, b, study.display_name(a.network)))
    elif (a.protocol == b.protocol and a.protocol not in ('', RANDOM)
          and a.points[0].float32 > b.points[0].float32):
      widths.extend(_versus(study, a, b, a.protocol))
      widths.extend(_at_equal_bytes(study, a, b))
  return {_HEADING: widths + protocols}


def _versus(study: Study, a: Line, b: Line, shared: str) -> Iterator[str]:
  """Yields a sentence on `a` minus `b` at equal sparsity, if both have results."""
  same = {(p.column, p.target): p for p in b.points if p.target}
  pairs = [(p, same[p.column, p.target]) for p in sorted(a.points, key=_by_target)
           if p.target and (p.column, p.target) in same]
  if pairs:
    clear = sum(statistics.separated(study, p.entry, q.entry) for p, q in pairs)
    yield (f'At equal sparsity, {_difference(study, a, b)} in points ({shared}): '
           + _listed(study, pairs, lambda p: f'{100 * p.target:g} %',
                     lambda p, q: p.accuracy - q.accuracy)
           + f'; {clear} of {len(pairs)} differences exceed their 95 % margin.')


def _at_equal_bytes(study: Study, wide: Line, narrow: Line) -> Iterator[str]:
  """Yields a sentence on files of the wide network within the sizes of the narrow one.

  The accuracy of the narrow network is interpolated over the logarithm of the bytes.
  """
  pairs = []
  for p in wide.points:
    known = [q for q in narrow.points if q.column == p.column]
    if known and known[0].bytes <= p.bytes <= known[-1].bytes:
      pairs.append((p, known))
  if pairs:
    yield (f'At equal bytes, {_difference(study, wide, narrow)} in points '
           f'({narrow.protocol}; the latter interpolated between its files): '
           + _listed(study, pairs, lambda p: _size(p.bytes),
                     lambda p, known: p.accuracy - np.interp(
                         np.log(p.bytes), [np.log(q.bytes) for q in known],
                         [q.accuracy for q in known])) + '.')


def _size(count: float) -> str:
  """Returns bytes with three digits, such as '1.63 MB'."""
  return ticker.EngFormatter(unit='B', places=2 - int(math.log10(count)) % 3)(count)


def _by_target(point: Point) -> float:
  return point.target


def _difference(study: Study, a: Line, b: Line) -> str:
  if a.network == b.network:
    return f'{a.protocol} minus {b.protocol}'
  return f'{study.display_name(a.network)} minus {study.display_name(b.network)}'


def _listed(study: Study, pairs: Sequence[tuple[Point, Any]],
            place: Callable[[Point], str], gap: Callable[[Point, Any], float]) -> str:
  """Formats a difference for each pair, by label subset."""
  texts = {}
  for p, other in pairs:
    text = f'{gap(p, other):+.1f} at {place(p)}'.replace('-', '−')
    texts.setdefault(p.column, []).append(text)
  return '; '.join(
      (f'with {study.display_name(column)} of the labels ' if column else '')
      + ', '.join(own) for column, own in texts.items())
