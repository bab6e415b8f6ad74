"""Arranges evaluations that come in groups, with one evaluation per column."""

import dataclasses
from collections.abc import Mapping

from ssl_jax.report.study import Groups, MethodEvaluation, Study


@dataclasses.dataclass(frozen=True)
class Row:
  """Holds one method under one group of evaluations.

  Attributes:
    name: the name to print.
    method: the method.
    group: the group of evaluations.
    entries: column -> the method and its evaluation.
  """

  name: str
  method: str
  group: str
  entries: Mapping[str, MethodEvaluation]


def columns(study: Study, groups: Groups) -> tuple[str, ...]:
  """Returns the columns in the order of the study's evaluations."""
  return tuple(dict.fromkeys(groups[e][1] for e in study.evaluations if e in groups))


def rows(study: Study, groups: Groups) -> list[Row]:
  """Returns a row for every listed method and every group requested for it."""
  groups = {e: groups[e] for e in study.evaluations if e in groups}
  found = []
  for method in study.listed_methods:
    for group in dict.fromkeys(group for group, _ in groups.values()):
      entries = {column: (method, e) for e, (its_group, column) in groups.items()
                 if its_group == group and study.requests(method, e)}
      name = study.display_names.get(
          f'{method}/{group}',
          f'{study.display_name(method)}, {study.display_name(group)}')
      if entries:
        found.append(Row(name, method, group, entries))
  return found


def versus_published(study: Study, groups: Groups) -> list[str]:
  """Returns a sentence for each row with published figures; none in a rehearsal."""
  sentences = []
  for row in rows(study, groups) if not study.rehearsal else ():
    gaps, sources, seeds = [], [], []
    for column, entry in row.entries.items():
      accuracy = study.accuracy(*entry)
      for p in study.published if len(accuracy) else ():
        if (p.method, p.evaluation) == entry:
          points = f'{100 * accuracy.mean() - p.value:+.1f}'.replace('-', '−')
          gaps.append(f'{points} ({study.display_name(column)})')
          sources.append(p.source)
          seeds.append(len(accuracy))
    if gaps:
      fewest = '' if min(seeds) == max(seeds) else f'{min(seeds)} to '
      sentences.append(
          f'{row.name} minus the published figures, in points: {", ".join(gaps)} '
          f'({"; ".join(dict.fromkeys(sources))}; {fewest}{count(max(seeds))} here).')
  return sentences


def count(seeds: int) -> str:
  """Returns `1 seed` or `3 seeds`."""
  return '1 seed' if seeds == 1 else f'{seeds} seeds'
