"""The tables of a report: one structure, rendered as text, Markdown or HTML.

HTML is rendered by the page's template, from the same `Table`.
"""

import csv
import dataclasses
import io
import json
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ssl_jax import config
from ssl_jax.report import compare, read

ABSENT = '–'


@dataclasses.dataclass(frozen=True)
class Cell:
  """A value and, set more quietly after it, its spread and number of seeds."""

  value: str
  detail: str = ''
  bold: bool = False

  def __str__(self) -> str:
    return f'{self.value} {self.detail}'.rstrip()


@dataclasses.dataclass(frozen=True)
class Table:
  """Rows of cells under a header; the first `left` columns are aligned left."""

  caption: str
  header: tuple[str, ...]
  rows: tuple[tuple[Cell, ...], ...]
  notes: tuple[str, ...] = ()
  left: int = 1


def spread(values: Sequence[float], decimals: int = 2) -> Cell:
  """`mean ± sd (n)`, sd being the sample standard deviation (ddof = 1).

  One value prints no ±, none prints a dash.
  """
  if not len(values):
    return Cell(ABSENT)
  mean = f'{np.mean(values):.{decimals}f}'
  if len(values) == 1:
    return Cell(mean, '(1)')
  return Cell(mean, f'± {np.std(values, ddof=1):.{decimals}f} ({len(values)})')


def headline(study: read.Study) -> Table:
  """Test top-1 in percent, methods by evaluations, published figures beside."""
  published: dict[tuple[str, str], list[read.Published]] = {}
  for p in study.published:
    published.setdefault((p.method, p.evaluation), []).append(p)
  beside = {e for m, e in published if m in study.methods}
  header = ['Method']
  for evaluation in study.evaluations:
    header.append(study.label(evaluation))
    header.extend(['theirs'] * (evaluation in beside))
  best = {e: compare.best(study, e) for e in study.evaluations}
  rows = []
  for method in study.methods:
    row = [Cell(study.label(method))]
    for evaluation in study.evaluations:
      ours = spread(100 * study.top1(method, evaluation))
      row.append(dataclasses.replace(ours, bold=method == best[evaluation]))
      if evaluation in beside:
        theirs = published.get((method, evaluation), [])
        row.append(Cell(', '.join(f'{p.value:.2f}' for p in theirs) or ABSENT))
    rows.append(tuple(row))
  return Table(_headline_caption(study), tuple(header), tuple(rows),
               tuple(_headline_notes(study, any(best.values()), bool(beside))))


def _headline_caption(study: read.Study) -> str:
  sizes = sorted({s.images for run in study.runs for s in run.scores.values()} - {0})
  on = f' on {" or ".join(f"{n:,}" for n in sizes)} images' if sizes else ''
  return (f'{study.data or "Test split"}: top-1 test accuracy{on}, in %, '
          'mean ± sample standard deviation (number of seeds).')


def _headline_notes(study: read.Study, bold: bool, theirs: bool) -> list[str]:
  notes = [compare.RULE] if bold else [
      'No mean is in bold: none leads its column by more than the 95 % margin, '
      'or there are too few seeds to tell.']
  if theirs:
    sources = dict.fromkeys(p.source for p in study.published)
    notes.append(f'Theirs: as published in {"; ".join(sources)}; '
                 'seeds and spread as stated there, if at all.')
  return notes


def per_class(study: read.Study, evaluation: str) -> Table:
  """Accuracy of each class in percent, classes by methods."""
  found = {m: 100 * study.per_class(m, evaluation) for m in study.methods}
  found = {m: values for m, values in found.items() if values.size}
  classes = max((values.shape[1] for values in found.values()), default=0)
  rows = tuple((Cell(name), *(spread(v[np.isfinite(v[:, i]), i], 1)
                              for v in found.values()))
               for i, name in enumerate(study.class_names(classes)))
  return Table(f'{study.label(evaluation)}: accuracy of each class, in %.',
               ('Class', *map(study.label, found)), rows)


def times(study: read.Study) -> Table:
  """What each method cost, per seed."""
  rows = []
  for method in study.methods:
    results = [run.pretrain.get('result') or {} for run in study.of(method)]
    row = [Cell(study.label(method)),
           _mean([r.get('steps') for r in results], '{:,.0f}'.format),
           _mean([r.get('seconds') for r in results], duration),
           _mean(study.images_per_second(method), '{:,.0f}'.format)]
    row.extend(_mean([s.seconds for s in study.scores(method, evaluation)], duration)
               for evaluation in study.evaluations)
    rows.append(tuple(row))
  header = ('Method', 'Steps', 'Pre-training', 'Images/s',
            *map(study.label, study.evaluations))
  return Table('Time per seed, mean over the seeds that are there.', header,
               tuple(rows))


def _mean(values: Sequence[float | None], text: Callable[[float], str]) -> Cell:
  """The mean of what is there, as `text` writes it."""
  values = [v for v in values if v is not None]
  return Cell(text(float(np.mean(values))) if values else ABSENT)


def duration(seconds: float) -> str:
  """`8.2 s`, `3 min 20 s`, `2 h 05 min`: two units at most."""
  if round(seconds, 1) < 10:
    return f'{seconds:.1f} s'
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60:02d} s'
  minutes = round(seconds / 60)
  return f'{minutes // 60} h {minutes % 60:02d} min'


def differences(study: read.Study) -> Table:
  """The fields of the pre-training configs in which methods differ."""
  flat = {}
  for method in study.methods:
    found = [run.pretrain.get('config') for run in study.of(method)]
    found = [c for c in found if c]
    if found:
      flat[method] = dict(config.flatten(found[0]))
  # Seeds differ where a method's first one is missing, work folders always.
  fields = sorted({f for c in flat.values() for f in c
                   if f.rpartition('.')[2] not in ('seed', 'workdir')})
  rows = []
  for field in fields:
    texts = [json.dumps(c[field]) if field in c else ABSENT for c in flat.values()]
    if len(set(texts)) > 1:
      rows.append((Cell(field), *(Cell(t.strip('"')) for t in texts)))
  return Table('Where the pre-training configs of the methods differ.',
               ('Field', *map(study.label, flat)), tuple(rows), left=len(flat) + 1)


def every_run(study: read.Study) -> Table:
  """One row for each method, evaluation and seed that is there."""
  rows = []
  for method, evaluation, run in _results(study):
    scores = run.scores[evaluation]
    accuracies = (scores.top1, scores.top5, scores.mean_per_class)
    chosen = ', '.join(f'{k} = {_short(v)}' for k, v in scores.chosen.items())
    rows.append((
        Cell(study.label(method)), Cell(study.label(evaluation)), Cell(str(run.seed)),
        Cell(chosen or ABSENT),
        *(Cell(ABSENT if a is None else f'{100 * a:.2f}') for a in accuracies)))
  header = ('Method', 'Evaluation', 'Seed', 'Chosen on validation', 'top-1', 'top-5',
            'mean per class')
  return Table('Every run: test accuracies in %.', header, tuple(rows), left=4)


def _short(value: Any) -> str:
  return f'{value:.4g}' if isinstance(value, float) else str(value)


def _results(study: read.Study) -> list[tuple[str, str, read.Run]]:
  return [(method, evaluation, run) for method in study.methods
          for evaluation in study.evaluations for run in study.of(method)
          if evaluation in run.scores]


def to_csv(study: read.Study) -> str:
  """One line per method, evaluation and seed; accuracies are fractions."""
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(('method', 'evaluation', 'seed', 'protocol', 'top1', 'top5',
                   'mean_per_class', 'test_images', 'chosen', 'seconds'))
  for method, evaluation, run in _results(study):
    s = run.scores[evaluation]
    writer.writerow((method, evaluation, run.seed, s.protocol, s.top1, s.top5,
                     s.mean_per_class, s.images or None,
                     json.dumps(s.chosen, sort_keys=True), s.seconds))
  return text.getvalue()


def terminal(table: Table) -> str:
  """The table as aligned text; `*` marks what other renderings set in bold."""
  # A column with a star anywhere keeps a blank in its place everywhere else.
  blank = [' ' * any(row[j].bold for row in table.rows)
           for j in range(len(table.header))]
  grid = [[name + b for name, b in zip(table.header, blank, strict=True)]]
  for row in table.rows:
    grid.append([f'{cell}*' if cell.bold else f'{cell}{b}'
                 for cell, b in zip(row, blank, strict=True)])
  widths = [max(_width(row[j]) for row in grid) for j in range(len(table.header))]
  lines = []
  for row in grid:
    padded = (text + ' ' * (w - _width(text)) if j < table.left
              else ' ' * (w - _width(text)) + text
              for j, (text, w) in enumerate(zip(row, widths, strict=True)))
    lines.append('  '.join(padded).rstrip())
  lines.insert(1, '  '.join('─' * w for w in widths))
  notes = [textwrap.fill(n.replace('Bold:', '*'), 80) for n in table.notes]
  caption = textwrap.fill(table.caption, 80)
  return '\n'.join([caption, '', *lines, '', *notes]).strip() + '\n'


def _width(text: str) -> int:
  """Columns that `text` takes in a terminal: wide characters take two."""
  return sum(2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in text)


def markdown(table: Table) -> str:
  """The table in GitHub's Markdown, its caption above and its notes below."""
  def escaped(text: str) -> str:
    return text.replace('|', '\\|').replace('\n', ' ')

  rules = ['---' if i < table.left else '---:' for i in range(len(table.header))]
  rows = [[f'**{c.value}** {c.detail}'.rstrip() if c.bold else str(c) for c in row]
          for row in table.rows]
  lines = ['| ' + ' | '.join(map(escaped, row)) + ' |'
           for row in (list(table.header), rules, *rows)]
  return '\n\n'.join([table.caption, '\n'.join(lines), *table.notes]) + '\n'
