"""Renders a report as one HTML file, as Markdown, and as text for a terminal."""

import base64
import datetime
import json
import pathlib
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2
import numpy as np

from ssl_jax.report import tables, theme
from ssl_jax.report.content import Content
from ssl_jax.report.study import Study

_MOST_NAMED = 6  # a warning names at most so many runs
_SCRIPT = pathlib.Path(__file__).with_name('hover.js')
_CODE = ('Command', 'Commit')  # facts in a fixed-width font


def html(study: Study, content: Content, refresh: int = 0) -> str:
  """Returns a self-contained page: styles, figures and images are inside the file.

  A script of 60 lines, which is there only if a figure has hover images, shows them.

  Args:
    study: the study.
    content: the material of all sections.
    refresh: seconds after which the page loads itself again; 0 is never.
  """
  environment = jinja2.Environment(
      loader=jinja2.PackageLoader('ssl_jax', 'report'), autoescape=True,
      undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  return environment.get_template('page.html').render(
      study=study, refresh=refresh, facts=facts(study), code=_CODE,
      warnings=list(warnings(study)),
      content=content, figures=[_embedded(drawing) for drawing in content.figures],
      script=_SCRIPT.read_text(encoding='utf-8')
      if any(drawing.hover for drawing in content.figures) else '',
      words=_words, config=json.dumps(study.config, indent=2) if study.config else '')


def markdown(study: Study, content: Content) -> str:
  """Returns the same report; its figures are links to `figures/<name>.png`.

  Args:
    study: the study.
    content: the material of all sections.
  """
  parts = [f'> **{study.rehearsal}**'] if study.rehearsal else []
  parts.extend([f'# {study.title}', study.description])
  parts.extend(f'> {warning}' for warning in warnings(study))
  parts.append('\n'.join(f'* {name}: `{text}`' if name in _CODE else f'* {name}: {text}'
                         for name, text in facts(study).items()))
  if content.results:
    parts.append('## Results')
  parts.extend(tables.markdown(t).rstrip() for t in content.results)
  parts.extend(f'**{heading}**\n\n' + '\n'.join(f'* {s}' for s in sentences)
               for heading, sentences in content.findings.items())
  if content.figures:
    parts.append('## Figures')
  for drawing in content.figures:
    parts.append(f'![{drawing.alt}](figures/{drawing.name}.png)\n\n{drawing.caption}')
    if drawing.table:
      parts.append(tables.markdown(drawing.table).rstrip())
  parts.append('## Details')
  parts.extend(tables.markdown(t).rstrip() for t in (*content.cost, *content.details))
  return '\n\n'.join(part for part in parts if part) + '\n'


def terminal(study: Study, content: Content) -> str:
  """Returns the tables of results as text, with the warnings before them.

  Args:
    study: the study.
    content: the material of all sections.
  """
  shown = [*content.results, *(d.table for d in content.figures if d.table)]
  parts = [textwrap.fill(study.rehearsal, 80), '\n'.join(warnings(study)),
           *map(tables.terminal, shown)]
  return '\n\n'.join(part.rstrip() for part in parts if part) + '\n'


def facts(study: Study) -> Mapping[str, str]:
  """Returns the data, hardware, seeds, start, commit and command, as far as known."""
  found = {
      'Data': study.data, 'Hardware': study.hardware,
      'Seeds': ', '.join(map(str, study.seeds)), 'Started': _date(study.started),
      'Commit': study.commit, 'Command': study.command}
  return {name: text for name, text in found.items() if text}


def _date(text: str) -> str:
  """Returns `2 January 2026, 03:04 UTC` for an ISO date; other texts unchanged."""
  try:
    date = datetime.datetime.fromisoformat(text)
  except ValueError:
    return text
  zone = f' {date.tzname()}' if date.tzinfo else ''
  return f'{date.day} {date:%B %Y, %H:%M}{zone}'


def warnings(study: Study) -> Iterator[str]:
  """Yields sentences about results that are missing or were left out."""
  missing = study.missing()
  if missing:
    requested = sum(study.requests(run.method, e) for run in study.runs
                    for e in study.evaluations)
    present = requested - sum(map(len, missing.values()))
    runs = [f'{run} ({", ".join(names)})' for run, names in missing.items()]
    more = len(runs) - _MOST_NAMED
    named = '; '.join(runs[:_MOST_NAMED]) + (f'; and {more} more runs' * (more > 0))
    yield (f'Incomplete: {present} of {requested} evaluations have results. '
           f'Missing: {named}.')
  yield from study.notes


def _words(command: str) -> list[tuple[str, str]]:
  """Returns the words of a command as (flag, rest), such as ('--config=', 'a.py').

  A browser may break a line after any hyphen, which the page prevents in a flag.
  """
  return [re.match(r'(--[\w.-]*=?)?(.*)', word, re.DOTALL).groups('')
          for word in command.split(' ')]


def _embedded(drawing: theme.Figure) -> Mapping[str, Any]:
  """Returns a figure with its images as data addresses, for pages and for phones."""
  def address(palette: theme.Palette) -> str:
    suffix, kind = ('webp', 'webp') if drawing.raster else ('svg', 'svg+xml')
    return _address(theme.render(drawing, palette, suffix), kind)

  return {'figure': drawing, 'light': address(theme.LIGHT), 'dark': address(theme.DARK),
          'narrow_light': address(theme.LIGHT.narrow),
          'narrow_dark': address(theme.DARK.narrow),
          'hover': _hover(drawing.hover) if drawing.hover else ''}


def _address(content: bytes, kind: str) -> str:
  return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'


def _hover(hover: theme.Hover) -> str:
  """Returns what hover.js reads as JSON that is safe within a script element."""
  thousandths = np.rint(1000 * hover.points).astype(int)
  panels = [[[round(side, 4) for side in box] for box in hover.panels(palette)]
            for palette in (theme.LIGHT, theme.LIGHT.narrow)]
  return json.dumps({
      'panels': panels, 'points': thousandths.reshape(len(thousandths), -1).tolist(),
      'texts': hover.texts, 'columns': hover.columns, 'size': hover.size,
      'sprite': _address(hover.sprite, 'webp')}, separators=(',', ':')
  ).replace('<', '\\u003c')
