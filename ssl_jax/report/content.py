"""Defines what a section contributes to each part of a report."""

import dataclasses
from collections.abc import Mapping, Sequence

from ssl_jax.report import tables, theme


@dataclasses.dataclass(frozen=True)
class Content:
  """Holds one section's material, by the part of the report that shows it.

  Attributes:
    results: tables at the top of the report, also printed in the terminal.
    findings: heading -> sentences computed from the numbers, below those tables.
    figures: figures, numbered through all sections; a figure's own table is below it.
    cost: tables of time and throughput.
    details: tables at the end, folded under their titles.
  """

  results: Sequence[tables.Table] = ()
  findings: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  figures: Sequence[theme.Figure] = ()
  cost: Sequence[tables.Table] = ()
  details: Sequence[tables.Table] = ()


def merge(contents: Sequence[Content]) -> Content:
  """Joins the material of all sections in their order; leaves out tables without rows.

  Sentences of several sections under the same heading become one list.
  """
  findings: dict[str, list[str]] = {}
  for content in contents:
    for heading, sentences in content.findings.items():
      findings.setdefault(heading, []).extend(sentences)
  parts = {part: [item for content in contents for item in getattr(content, part)]
           for part in ('results', 'figures', 'cost', 'details')}
  with_rows = {part: [table for table in parts[part] if table.rows]
               for part in ('results', 'cost', 'details')}
  return Content(**(parts | with_rows),
                 findings={h: s for h, s in findings.items() if s})
