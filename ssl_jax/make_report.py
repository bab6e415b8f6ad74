r"""Writes the report of a study or of a single run, finished or not.

  python -m ssl_jax.make_report --workdir=runs/quickstart

The report of a run includes the evaluations in the folders below it.

It reads files only, and needs neither an accelerator nor JAX. The page is written to
`<workdir>/report/index.html`.
"""

from absl import flags

from ssl_jax import cli, report

_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'The --workdir of `python -m ssl_jax.study`, or of a run.')


def main() -> None:
  """Writes the pages; prints the tables of results and the path of the page."""
  workdir = cli.require(_WORKDIR, 'runs/quickstart')
  page = report.write(workdir)
  print(report.summary(workdir))
  print(f'Report: {page}')


if __name__ == '__main__':
  cli.run(main)
