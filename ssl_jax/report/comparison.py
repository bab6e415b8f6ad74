"""Builds tables of test accuracies with published figures."""

import dataclasses
from collections.abc import Mapping, Sequence

from ssl_jax.report import statistics, tables
from ssl_jax.report.study import MethodEvaluation, Study

_MOST_SIZES = 3  # a caption names at most so many numbers of test images


@dataclasses.dataclass(frozen=True)
class Competition:
  """Describes which results compete for bold print.

  Attributes:
    scope: what competitors share, such as 'column'.
    competitors: a group of results for each competition, one of which may be bold.
  """

  scope: str
  competitors: Sequence[Sequence[MethodEvaluation]]


def table(study: Study, title: str, columns: Sequence[str],
          rows: Sequence[tuple[str, Sequence[MethodEvaluation | None]]],
          row_header: str = 'Method', competition: Competition | None = None
          ) -> tables.Table:
  """Returns a table of test accuracies in percent with the published figures.

  An accuracy that is not requested is blank; one that is requested but has no result
  is a dash. Published figures of a column are in a further column to its right.

  Args:
    study: the study, which records the requested results.
    title: the beginning of the caption.
    columns: headers of the columns.
    rows: name of each row and its results, one per column; None for an empty cell.
    row_header: header of the column of names.
    competition: the results that compete; by default those of each column.
  """
  rows = [(name, [e if e and study.requests(*e) else None for e in entries])
          for name, entries in rows]
  grid = list(zip(*(entries for _, entries in rows), strict=True))
  competing = competition or Competition(
      'column', [[e for e in column if e] for column in grid])
  best = {statistics.best(study, c) for c in competing.competitors} - {None}
  published = _published(study)
  header, body = [row_header], [[tables.Cell(name)] for name, _ in rows]
  for name, column in zip(columns, grid, strict=True):
    has_published = any(e in published for e in column)
    header.extend([name, tables.PUBLISHED] if has_published else [name])
    for row, entry in zip(body, column, strict=True):
      cell = (tables.mean_and_sd(100 * study.accuracy(*entry)) if entry
              else tables.BLANK)
      row.append(dataclasses.replace(cell, bold=entry in best))
      if has_published:
        missing = tables.ABSENT if entry else ''
        row.append(tables.Cell(', '.join(published.get(entry, ())) or missing))
  entries = [e for column in grid for e in column if e]
  contested = not competition or any(len(c) > 1 for c in competing.competitors)
  notes = [statistics.bold_rule(competing.scope, bool(best))] if contested else []
  return tables.Table(_caption(study, title, entries), tuple(header),
                      tuple(map(tuple, body)), (*notes, *_sources(study, entries)))


def _published(study: Study) -> Mapping[MethodEvaluation, list[str]]:
  found = {}
  for p in study.published:
    found.setdefault((p.method, p.evaluation), []).append(f'{p.value:.2f}')
  return found


def _caption(study: Study, title: str, entries: Sequence[MethodEvaluation]) -> str:
  sizes = sorted({r.images for e in entries for r in study.results(*e)} - {0})
  on = f' on {" or ".join(f"{n:,}" for n in sizes)} images' if sizes else ''
  on = on if len(sizes) <= _MOST_SIZES else ''
  return (f'{title}: {_metric(study, entries)}{on}, in %, mean ± '
          'sample standard deviation (number of seeds).')


def _metric(study: Study, entries: Sequence[MethodEvaluation]) -> str:
  """Returns the metric in words; with two metrics, it names the exceptions."""
  metrics = {e: {r.metric for r in study.results(*e)} for e in entries}
  exceptions = [e for e in entries if 'mean_per_class' in metrics[e]]
  if not exceptions:
    return 'top-1 test accuracy'
  if set.union(*metrics.values()) == {'mean_per_class'}:
    return 'test accuracy, the mean over classes'
  names = dict.fromkeys(study.display_name(study.data_sets.get(e, (e, e))[1])
                        for _, e in exceptions)
  return f'test accuracy (top-1; for {", ".join(names)} the mean over classes)'


def _sources(study: Study, entries: Sequence[MethodEvaluation]) -> list[str]:
  sources = dict.fromkeys(p.source for p in study.published
                          if (p.method, p.evaluation) in entries)
  if not sources:
    return []
  return [f'Published figures are from {"; ".join(sources)}; see there for their '
          'number of seeds and their spread, if reported.']
