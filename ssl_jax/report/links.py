"""Forms the addresses of a study's files, as seen from the report's folder."""

import urllib.parse

from ssl_jax.report.study import MethodRun


def address(run: MethodRun, file: str = '') -> str:
  """Returns the relative address of a file in a run's folder, or of the folder."""
  return f'../{urllib.parse.quote(run.folder)}/{urllib.parse.quote(file)}'
