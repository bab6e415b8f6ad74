"""Warns where the best of a grid of settings is at the end of its range."""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging


def at_edge(what: str, chosen: Mapping[str, float],
            grid: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns the names of settings chosen at an end of their range, and logs a warning.

  A better value may exist beyond that end. Ranges of one or two values, and a value of
  0, are never reported.

  Args:
    what: name of the search, for the warning.
    chosen: the chosen values by name, for example {'learning_rate': 0.1}.
    grid: all settings that were tried; only the names in `chosen` are read.
  """
  found = []
  for name, value in chosen.items():
    values = sorted({setting[name] for setting in grid})
    if len(values) > 2 and value and value in (values[0], values[-1]):
      found.append(name)
      logging.warning(
          '%s: the chosen %s, %g, is at the edge of its grid (%g to %g); a wider one '
          'may do better', what, name, value, values[0], values[-1])
  return found
