"""Warns where the best of a grid of settings is at the end of its range."""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging


def at_edge(what: str, chosen: Mapping[str, float],
            grid: Sequence[Mapping[str, Any]]) -> list[str]:
  """Names the settings that were chosen at an end of their range, and warns of them.

  A better value may lie beyond that end. Ranges of one or two values, and a value of
  0, are never reported.

  Args:
    what: name of the search, for the warning.
    chosen: chosen value by name of the setting.
    grid: all settings; only the names in `chosen` are read.
  """
  found = []
  for name, value in chosen.items():
    values = sorted({cell[name] for cell in grid})
    if len(values) > 2 and value and value in (values[0], values[-1]):
      found.append(name)
      logging.warning(
          '%s: the chosen %s, %g, is at the edge of its grid (%g to %g); a wider one '
          'may do better', what, name, value, values[0], values[-1])
  return found
