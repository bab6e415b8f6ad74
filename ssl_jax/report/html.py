"""The report as one HTML file that can be mailed, and as Markdown beside files."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence

import jinja2

from ssl_jax.report import compare, read, tables, theme

REHEARSAL = ('Rehearsal: a scaled-down run that checks the machinery. Its numbers '
             'say nothing about the methods.')


def page(study: read.Study, plots: Sequence[theme.Plot]) -> str:
  """Returns a self-contained page: styles inline, figures as data addresses."""
  environment = jinja2.Environment(
      loader=jinja2.PackageLoader('ssl_jax', 'report'), autoescape=True,
      undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  by_class = study.by_class()
  return environment.get_template('page.html').render(
      study=study, rehearsal=REHEARSAL if study.rehearsal else '',
      facts=facts(study), warnings=warnings(study),
      headline=tables.headline(study), findings=compare.findings(study),
      figures=[_figure(plot) for plot in plots],
      per_class=tables.per_class(study, by_class) if by_class else None,
      times=tables.times(study), every_run=tables.every_run(study),
      differences=tables.differences(study),
      config=json.dumps(study.config, indent=2) if study.config else '')


def markdown(study: read.Study, plots: Sequence[theme.Plot]) -> str:
  """Returns the same report, its figures linked as `figures/<name>.png`."""
  parts = [f'# {study.title}']
  if study.rehearsal:
    parts.append(f'> **{REHEARSAL}**')
  parts.append(study.description)
  parts.extend(f'> {warning}' for warning in warnings(study))
  parts.append('\n'.join(f'* {name}: `{text}`' if name in ('Command', 'Commit')
                         else f'* {name}: {text}'
                         for name, text in facts(study).items()))
  parts.extend(['## Results', tables.markdown(tables.headline(study)).rstrip()])
  parts.extend(f'**{evaluation}**\n\n' + '\n'.join(f'* {s}' for s in sentences)
               for evaluation, sentences in compare.findings(study).items())
  if plots:
    parts.append('## Figures')
  parts.extend(f'![{plot.alt}](figures/{plot.name}.png)\n\n{plot.caption}'
               for plot in plots)
  details = [tables.times(study), tables.differences(study), tables.every_run(study)]
  parts.append('## Details')
  parts.extend(tables.markdown(t).rstrip() for t in details if t.rows)
  return '\n\n'.join(part for part in parts if part) + '\n'


def facts(study: read.Study) -> Mapping[str, str]:
  """What was run, on what, by which command."""
  everything = {
      'Data': study.data, 'Hardware': study.hardware,
      'Seeds': ', '.join(map(str, study.seeds)), 'Started': study.started,
      'Commit': study.commit, 'Command': study.command}
  return {name: text for name, text in everything.items() if text}


def warnings(study: read.Study) -> Iterator[str]:
  """What a reader must know before the numbers: what is missing or left out."""
  missing = study.missing()
  if missing:
    asked = len(study.runs) * len(study.evaluations)
    there = asked - sum(map(len, missing.values()))
    lacking = '; '.join(f'{run} ({", ".join(names)})' for run, names in missing.items())
    yield f'Incomplete: {there} of {asked} evaluations are here. Missing: {lacking}.'
  yield from study.notes


def _figure(plot: theme.Plot) -> Mapping[str, str]:
  def address(look: theme.Theme) -> str:
    code = base64.b64encode(theme.render(plot, look, 'svg')).decode()
    return f'data:image/svg+xml;base64,{code}'

  return {'name': plot.name, 'caption': plot.caption, 'alt': plot.alt,
          'light': address(theme.LIGHT), 'dark': address(theme.DARK)}
