"""Defines the exceptions that end a run early, and exit statuses."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: run the same command again


class UserError(Exception):
  """A mistake of the user; its message names the field, the value and a remedy.

  Binaries print the message without a traceback and exit with status 2.
  """


class MissingSplit(UserError):
  """A data set has no split of that name; some callers do without it."""


class Diverged(UserError):
  """The loss or the gradient is not finite; a grid search skips the setting."""


class Preempted(Exception):
  """A signal was received and the state is saved; binaries exit with `PREEMPTED`.

  Args:
    step: the last step that was done, whose state is saved.
    cause: the name of the signal.
  """

  def __init__(self, step: int, cause: str = 'SIGTERM'):
    super().__init__(f'stopped by {cause}; step {step} is saved, run the same command '
                     'again to continue from there')


def listed(items: Sequence[str], most: int, separator: str = ', ') -> str:
  """Joins the first items and states how many others there are: 'a, b and 3 more'.

  Args:
    items: all items.
    most: number of items that are named.
    separator: text between two items; after '; ' the number of others is set off too.
  """
  named, others = separator.join(items[:most]), len(items) - most
  if others <= 0:
    return named
  return f'{named}{";" * (separator == "; ")} and {others} more'


def suggestion(name: str, accepted: Iterable[str]) -> str:
  """Returns `'; did you mean "x"?'`, or '' if no accepted name is close."""
  close = difflib.get_close_matches(name, list(accepted), n=1, cutoff=0.5)
  return f'; did you mean {close[0]!r}?' if close else ''


def lookup(what: str, name: str, table: Mapping[str, Any]) -> Any:
  """Returns `table[name]`.

  Args:
    what: names the choice in the message, such as 'config.model.name'.
    name: a key of the table.
    table: the accepted choices by name.

  Raises:
    UserError: `name` is not in the table; the message lists the names that are.
  """
  if name not in table:
    raise UserError(
        f'{what} is {name!r}; accepted are {", ".join(sorted(table))}'
        f'{suggestion(str(name), table)}')
  return table[name]
