"""Defines how a run ends early: by a user's mistake, or because it was asked to."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: run the same command again


class UserError(Exception):
  """Bad input. Its message names the field, the value and what is accepted.

  Binaries print it without a traceback and exit with status 2.
  """


class MissingSplit(UserError):
  """A data set has no split of that name: some can be done without."""


class Diverged(UserError):
  """A loss or gradient that is no longer finite: of a grid one cell less."""


class Preempted(Exception):
  """A signal came and the state is saved; binaries exit with status `PREEMPTED`.

  Args:
    step: the last one done, which is saved.
    cause: the name of the signal.
  """

  def __init__(self, step: int, cause: str = 'SIGTERM'):
    super().__init__(f'stopped by {cause}; step {step} is saved, run the same command '
                     'again to continue from there')


def suggestion(name: str, accepted: Iterable[str]) -> str:
  """Returns `'; did you mean "x"?'`, or '' where nothing is close."""
  close = difflib.get_close_matches(name, list(accepted), n=1, cutoff=0.5)
  return f'; did you mean {close[0]!r}?' if close else ''


def lookup(what: str, name: str, table: Mapping[str, Any]) -> Any:
  """Returns `table[name]`.

  Raises:
    UserError: `name` is not in the table; the sentence lists what is.
  """
  if name not in table:
    raise UserError(
        f'{what} is {name!r}; accepted are {", ".join(sorted(table))}'
        f'{suggestion(str(name), table)}')
  return table[name]
