"""Evaluations that come in groups, one for each column: rows of a table, sentences."""

import dataclasses
from collections.abc import Mapping

from ssl_jax.report import compare, records

Cells = Mapping[str, tuple[str, str]]  # evaluation -> its group and its column


@dataclasses.dataclass(frozen=True)
class Row:
  """One method under one group of evaluations; `entries` by column."""

  name: str
  method: str
  group: str
  entries: Mapping[str, compare.Entry]


def columns(study: records.Study, cells: Cells) -> tuple[str, ...]:
  """In the order of the study's evaluations."""
  return tuple(dict.fromkeys(cells[e][1] for e in study.evaluations if e in cells))


def rows(study: records.Study, cells: Cells) -> list[Row]:
  """Every listed method under every group that it is to be evaluated by."""
  cells = {e: cells[e] for e in study.evaluations if e in cells}
  found = []
  for method in study.listed_methods:
    for group in dict.fromkeys(group for group, _ in cells.values()):
      entries = {column: (method, e) for e, (of, column) in cells.items()
                 if of == group and study.wants(method, e)}
      name = study.labels.get(f'{method}/{group}',
                              f'{study.label(method)}, {study.label(group)}')
      if entries:
        found.append(Row(name, method, group, entries))
  return found


def findings(study: records.Study, cells: Cells) -> list[str]:
  """One sentence for each row that figures are published for; none in a rehearsal."""
  said = []
  for row in rows(study, cells) if not study.rehearsal else ():
    gaps, sources, seeds = [], [], []
    for column, entry in row.entries.items():
      ours = study.accuracy(*entry)
      for p in study.published if len(ours) else ():
        if (p.method, p.evaluation) == entry:
          points = f'{100 * ours.mean() - p.value:+.1f}'.replace('-', '−')
          gaps.append(f'{points} ({study.label(column)})')
          sources.append(p.source)
          seeds.append(len(ours))
    if gaps:
      fewest = '' if min(seeds) == max(seeds) else f'{min(seeds)} to '
      said.append(f'{row.name} minus the published figures, in points: '
                  f'{", ".join(gaps)} ({"; ".join(dict.fromkeys(sources))}; '
                  f'{fewest}{compare.seeds(max(seeds))} here).')
  return said
