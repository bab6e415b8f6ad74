"""The headline table: methods by evaluations, published figures beside."""

import dataclasses
from collections.abc import Sequence

from ssl_jax.report import compare, records, tables


def headline(study: records.Study) -> tables.Table:
  """Test top-1 in percent of every method that any column is asked of.

  Cells of the heat map and label subsets stand elsewhere; rows may be none.
  """
  evaluations = study.listed_evaluations
  rows = [(study.label(method), [(method, e) for e in evaluations])
          for method in study.listed_methods
          if any(study.wants(method, e) for e in evaluations)]
  return comparison(study, study.data or 'Test split',
                    [study.label(e) for e in evaluations], rows)


def comparison(study: records.Study, title: str, columns: Sequence[str],
               rows: Sequence[tuple[str, Sequence[compare.Entry | None]]]
               ) -> tables.Table:
  """A table of test top-1 in percent with the published figures beside.

  Args:
    study: gives the numbers, and which are asked for.
    title: begins the caption.
    columns: headers.
    rows: name and entries, one for each column; None where there is no such thing.

  Returns:
    The table. What is not asked for is blank, what is and is not there is a dash.
    A column has one of published figures to its right where any are known.
  """
  rows = [(name, [e if e and study.wants(*e) else None for e in entries])
          for name, entries in rows]
  theirs = {}
  for p in study.published:
    theirs.setdefault((p.method, p.evaluation), []).append(f'{p.value:.2f}')
  grid = list(zip(*(entries for _, entries in rows), strict=True))
  beside = [any(e in theirs for e in column) for column in grid]
  best = [compare.best(study, [e for e in column if e]) for column in grid]
  header, body = ['Method'], [[tables.Cell(name)] for name, _ in rows]
  for i, column in enumerate(grid):
    header.extend([columns[i], tables.THEIRS] if beside[i] else [columns[i]])
    for row, entry in zip(body, column, strict=True):
      cell = tables.spread(100 * study.top1(*entry)) if entry else tables.BLANK
      row.append(dataclasses.replace(cell, bold=entry is not None and entry == best[i]))
      if beside[i]:
        missing = tables.ABSENT if entry else ''
        row.append(tables.Cell(', '.join(theirs.get(entry, ())) or missing))
  entries = [e for column in grid for e in column if e]
  return tables.Table(_caption(study, title, entries), tuple(header),
                      tuple(map(tuple, body)),
                      tuple(_notes(study, entries, any(best), any(beside))))


def _caption(study: records.Study, title: str, entries: Sequence[compare.Entry]) -> str:
  sizes = sorted({s.images for e in entries for s in study.scores(*e)} - {0})
  on = f' on {" or ".join(f"{n:,}" for n in sizes)} images' if sizes else ''
  return (f'{title}: top-1 test accuracy{on}, in %, mean ± '
          'sample standard deviation (number of seeds).')


def _notes(study: records.Study, entries: Sequence[compare.Entry], bold: bool,
           theirs: bool) -> list[str]:
  notes = [compare.RULE] if bold else [
      'No mean is in bold: none leads its column by more than the 95 % margin, '
      'or there are too few seeds to tell.']
  if theirs:
    sources = dict.fromkeys(p.source for p in study.published
                            if (p.method, p.evaluation) in entries)
    notes.append(f'Theirs: as published in {"; ".join(sources)}; '
                 'seeds and spread as stated there, if at all.')
  return notes
