"""The headline table: methods by evaluations, published figures beside."""

import dataclasses
from collections.abc import Sequence

from ssl_jax.report import compare, records, tables

_MOST_SIZES = 3  # of test splits, in a caption
# What they share, in words, and those that compete.
Rivals = tuple[str, Sequence[Sequence[compare.Entry]]]


def headline(study: records.Study) -> tables.Table:
  """Test accuracy in percent of every method that any column is asked of.

  Cells of the heat map, label subsets and several data sets stand elsewhere; rows may
  be none.
  """
  evaluations = study.listed_evaluations
  rows = [(study.label(method), [(method, e) for e in evaluations])
          for method in study.listed_methods
          if any(study.wants(method, e) for e in evaluations)]
  return comparison(study, study.data or 'Test split',
                    [study.label(e) for e in evaluations], rows)


def comparison(study: records.Study, title: str, columns: Sequence[str],
               rows: Sequence[tuple[str, Sequence[compare.Entry | None]]],
               corner: str = 'Method', rivals: Rivals | None = None) -> tables.Table:
  """A table of test accuracies in percent with the published figures beside.

  Args:
    study: gives the numbers, and which are asked for.
    title: begins the caption.
    columns: headers.
    rows: name and entries, one for each column; None where there is no such thing.
    corner: what rows are.
    rivals: whose best is bold, and what they share; those of a column if None.

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
  place, compared = rivals or ('column', [[e for e in c if e] for c in grid])
  best = {compare.best(study, entries) for entries in compared} - {None}
  beside = [any(e in theirs for e in column) for column in grid]
  header, body = [corner], [[tables.Cell(name)] for name, _ in rows]
  for i, column in enumerate(grid):
    header.extend([columns[i], tables.THEIRS] if beside[i] else [columns[i]])
    for row, entry in zip(body, column, strict=True):
      cell = tables.spread(100 * study.accuracy(*entry)) if entry else tables.BLANK
      row.append(dataclasses.replace(cell, bold=entry in best))
      if beside[i]:
        missing = tables.ABSENT if entry else ''
        row.append(tables.Cell(', '.join(theirs.get(entry, ())) or missing))
  entries = [e for column in grid for e in column if e]
  notes = [compare.rule(place, bool(best))] if any(
      len(c) > 1 for c in compared) or not rivals else []
  return tables.Table(_caption(study, title, entries), tuple(header),
                      tuple(map(tuple, body)),
                      (*notes, *_notes(study, entries, any(beside))))


def _caption(study: records.Study, title: str, entries: Sequence[compare.Entry]) -> str:
  sizes = sorted({s.images for e in entries for s in study.scores(*e)} - {0})
  on = f' on {" or ".join(f"{n:,}" for n in sizes)} images' if sizes else ''
  on = on if len(sizes) <= _MOST_SIZES else ''
  return (f'{title}: {_told_by(study, entries)}{on}, in %, mean ± '
          'sample standard deviation (number of seeds).')


def _told_by(study: records.Study, entries: Sequence[compare.Entry]) -> str:
  """What kind of accuracy; where there are two, which of them where."""
  scores = {e: {s.score for s in study.scores(*e)} for e in entries}
  classes = [e for e in entries if 'mean_per_class' in scores[e]]
  if not classes:
    return 'top-1 test accuracy'
  if set.union(*scores.values()) == {'mean_per_class'}:
    return 'test accuracy, the mean over classes'
  named = dict.fromkeys(study.label(study.data_sets.get(e, (e, e))[1])
                        for _, e in classes)
  return f'test accuracy (top-1; for {", ".join(named)} the mean over classes)'


def _notes(study: records.Study, entries: Sequence[compare.Entry],
           theirs: bool) -> list[str]:
  if not theirs:
    return []
  sources = dict.fromkeys(p.source for p in study.published
                          if (p.method, p.evaluation) in entries)
  return [f'Theirs: as published in {"; ".join(sources)}; '
          'seeds and spread as stated there, if at all.']
