"""The report as one HTML file that can be mailed, and as Markdown beside files."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence

import jinja2

from ssl_jax.report import (
    by_data_set,
    by_labels,
    compare,
    details,
    records,
    results,
    tables,
    theme,
)

_MOST_NAMED = 6  # runs in a warning


def page(study: records.Study, plots: Sequence[theme.Plot]) -> str:
  """Returns a self-contained page: styles inline, figures as data addresses."""
  environment = jinja2.Environment(
      loader=jinja2.PackageLoader('ssl_jax', 'report'), autoescape=True,
      undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  by_class = next(iter(study.about_classes()), None)
  return environment.get_template('page.html').render(
      study=study, facts=facts(study), warnings=list(warnings(study)),
      results=main_tables(study), findings=findings(study),
      figures=[_figure(plot) for plot in plots],
      per_class=details.per_class(study, by_class) if by_class else None,
      times=details.times(study), every_run=details.every_run(study),
      differences=details.differences(study),
      config=json.dumps(study.config, indent=2) if study.config else '')


def markdown(study: records.Study, plots: Sequence[theme.Plot]) -> str:
  """Returns the same report, its figures linked as `figures/<name>.png`."""
  parts = [f'> **{study.rehearsal}**'] if study.rehearsal else []
  parts.extend([f'# {study.title}', study.description])
  parts.extend(f'> {warning}' for warning in warnings(study))
  parts.append('\n'.join(f'* {name}: `{text}`' if name in ('Command', 'Commit')
                         else f'* {name}: {text}'
                         for name, text in facts(study).items()))
  shown = main_tables(study)
  if shown:
    parts.append('## Results')
  parts.extend(tables.markdown(t).rstrip() for t in shown)
  parts.extend(f'**{heading}**\n\n' + '\n'.join(f'* {s}' for s in sentences)
               for heading, sentences in findings(study).items())
  if plots:
    parts.append('## Figures')
  for plot in plots:
    parts.append(f'![{plot.alt}](figures/{plot.name}.png)\n\n{plot.caption}')
    if plot.table:
      parts.append(tables.markdown(plot.table).rstrip())
  parts.append('## Details')
  parts.extend(tables.markdown(t).rstrip() for t in (
      details.times(study), details.differences(study), details.every_run(study))
      if t.rows)
  return '\n\n'.join(part for part in parts if part) + '\n'


def main_tables(study: records.Study) -> list[tables.Table]:
  """The headline table and those by labels and by data set, where they have rows."""
  return [t for t in (results.headline(study), by_labels.table(study),
                      by_data_set.table(study)) if t.rows]


def findings(study: records.Study) -> dict[str, list[str]]:
  """Sentences computed from the numbers, by heading."""
  return (compare.findings(study) | by_labels.findings(study)
          | by_data_set.findings(study))


def facts(study: records.Study) -> Mapping[str, str]:
  """What was run, on what, by which command."""
  everything = {
      'Data': study.data, 'Hardware': study.hardware,
      'Seeds': ', '.join(map(str, study.seeds)), 'Started': study.started,
      'Commit': study.commit, 'Command': study.command}
  return {name: text for name, text in everything.items() if text}


def warnings(study: records.Study) -> Iterator[str]:
  """What a reader must know before the numbers: what is missing or left out."""
  missing = study.missing()
  if missing:
    asked = sum(study.wants(run.method, e) for run in study.runs
                for e in study.evaluations)
    there = asked - sum(map(len, missing.values()))
    lacking = [f'{run} ({", ".join(names)})' for run, names in missing.items()]
    more = len(lacking) - _MOST_NAMED
    named = '; '.join(lacking[:_MOST_NAMED]) + (f'; and {more} more runs' * (more > 0))
    yield f'Incomplete: {there} of {asked} evaluations are here. Missing: {named}.'
  yield from study.notes


def _figure(plot: theme.Plot) -> Mapping[str, str]:
  def address(look: theme.Theme) -> str:
    code = base64.b64encode(theme.render(plot, look, 'svg')).decode()
    return f'data:image/svg+xml;base64,{code}'

  return {'name': plot.name, 'caption': plot.caption, 'alt': plot.alt,
          'table': plot.table, 'light': address(theme.LIGHT),
          'dark': address(theme.DARK)}
