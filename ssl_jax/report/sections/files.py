"""Lists the folder and files of each run, with links."""

from ssl_jax.report import tables
from ssl_jax.report.content import Content
from ssl_jax.report.study import MethodRun, Study


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
                   _cell(run, 'config.json'), _cell(run, 'metrics.jsonl')))
  return tables.Table('Folder of each run, and the files of its pre-training.',
                      ('Method', 'Seed', 'Folder', 'Config', 'Log'), tuple(rows),
                      left_aligned=5, title='Files')


def _cell(run: MethodRun, name: str) -> tables.Cell:
  found = [file for file in run.files if file.rpartition('/')[2] == name]
  return tables.Cell(name, link=run.link(found[0])) if found else (
      tables.Cell(tables.ABSENT))
