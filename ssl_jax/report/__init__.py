"""Writes reports of studies: reads files, writes pages, and never imports JAX."""

import pathlib

from ssl_jax.report import page, read, results_csv, sections, theme

_REHEARSAL = 'From a rehearsal: these numbers are not results.'  # text in image files


def write(workdir: str | pathlib.Path) -> pathlib.Path:
  """Writes `<workdir>/report/` from what the study or the run has produced so far.

  The folder has index.html (self-contained), report.md, results.csv (one line per
  method, evaluation and seed) and figures/ (PNG and SVG). The bytes depend only on the
  files of the study.

  Args:
    workdir: the folder of the study, or of a single run.

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
           'index.html': page.html(study, content)}
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
