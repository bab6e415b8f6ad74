r"""Writes the report of a study, finished or not.

  python -m ssl_jax.make_report --workdir=runs/quickstart

It reads files only: no accelerator, no JAX. The page is
`<workdir>/report/index.html`.
"""

from absl import flags

from ssl_jax import app, report

_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'The folder that `python -m ssl_jax.study` wrote.')


def main() -> None:
  """Writes the pages, prints the headline table and where the page is."""
  workdir = app.require(_WORKDIR, 'runs/quickstart')
  page = report.write(workdir)
  print(report.summary(workdir))
  print(f'Report: {page}')


if __name__ == '__main__':
  app.run(main)
