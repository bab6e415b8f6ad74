"""Lists the folder and files of each run, with links."""

from ssl_jax.report import tables
from ssl_jax.report.content import Content
from ssl_jax.report.study import CONFIG, METRICS, MethodRun, Study


def content(study: Study) -> Content:
  """Returns the folded table of files."""
  return Content(details=[table(study)])


def table(study: Study) -> tables.Table:
  """Returns one row for each run that has any result, log or config."""
  rows = []
  for run in study.runs:
    if run.files or run.results:
      rows.append((tables.Cell(study.display_name(run.method)),
                   tables.Cell(str(run.seed)),
                   tables.Cell(run.folder, link=run.link()),
                   _cell(run, CONFIG), _cell(run, METRICS)))
  return tables.Table('Folder of each run, and the files of its pre-training.',
                      ('Method', 'Seed', 'Folder', 'Config', 'Log'), tuple(rows),
                      left_aligned=5, title='Files')


def _cell(run: MethodRun, file: str) -> tables.Cell:
  if file not in run.files:
    return tables.Cell(tables.ABSENT)
  return tables.Cell(file.rpartition('/')[2], link=run.link(file))
