"""Writes reports of studies: reads files, writes pages, and never imports JAX."""

import pathlib
import time
from collections.abc import Callable

from ssl_jax.report import page, read, results_csv, sections, theme
from ssl_jax.report.study import Study

_REHEARSAL = 'From a rehearsal: these numbers are not results.'  # text in image files


def write(workdir: str | pathlib.Path, refresh: int = 0) -> pathlib.Path:
  """Writes `<workdir>/report/` from what the study or the run has produced so far.

  The folder has index.html (self-contained), report.md, results.csv (one line per
  method, evaluation and seed) and figures/ (PNG and SVG). The bytes depend only on the
  files of the study.

  Args:
    workdir: the folder of the study, or of a single run.
    refresh: seconds after which an open page loads itself again; 0 is never.

  Returns:
    The path of index.html.

  Raises:
    errors.UserError: `workdir` is no such folder.
  """
  study = read.study(workdir)
  content = sections.content(study)
  folder = pathlib.Path(workdir) / 'report'
  figures = folder / 'figures'
  figures.mkdir(parents=True, exist_ok=True)
  footer = _REHEARSAL if study.rehearsal else ''
  for drawing in content.figures:
    for suffix in ('png', 'svg'):
      image = theme.render(drawing, theme.LIGHT, suffix, footer)
      (figures / f'{drawing.name}.{suffix}').write_bytes(image)
  texts = {'report.md': page.markdown(study, content),
           'results.csv': results_csv.text(study),
           'index.html': page.html(study, content, refresh)}
  for name, text in texts.items():
    (folder / name).write_text(text, encoding='utf-8')
  return folder / 'index.html'


def summary(workdir: str | pathlib.Path) -> str:
  """Returns the tables of results as text, for a terminal.

  Raises:
    errors.UserError: `workdir` is no such folder.
  """
  study = read.study(workdir)
  return page.terminal(study, sections.content(study))


def watch(workdir: str | pathlib.Path, seconds: int,
          pause: Callable[[float], None] = time.sleep) -> pathlib.Path:
  """Writes the report again whenever the study has new results, until all are there.

  The page loads itself again while the study runs.

  Args:
    workdir: the folder of the study.
    seconds: time from one look at the files to the next.
    pause: waits for a number of seconds.

  Returns:
    The path of index.html.

  Raises:
    errors.UserError: `workdir` is not a study's folder.
  """
  seen = None
  while (study := read.study(workdir)).missing() or _lacks_pictures(study):
    if (state := _state(pathlib.Path(workdir))) != seen:
      write(workdir, refresh=seconds)
      seen = state
    pause(seconds)
  return write(workdir)


def _lacks_pictures(study: Study) -> bool:
  """Returns whether the study is to make pictures and one of its methods has none."""
  wanted = study.config.get('pictures')
  return wanted is not None and any(
      all(run.pictures is None for run in study.runs_of(method))
      for method in wanted.get('methods') or study.listed_methods)


def _state(workdir: pathlib.Path) -> list[tuple[str, int]]:
  """Returns the times of the files that a report reads, without the report itself."""
  return sorted((str(path), path.stat().st_mtime_ns) for name in (
      'study.json', '*/seed*/*/result.json', '*/seed*/*/metrics.jsonl')
                for path in workdir.glob(name))
