"""Reads JSONL files, such as metrics.jsonl, without JAX."""

import json
import pathlib
from typing import Any


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the objects of a JSONL file, one per line; [] if there is no file.

  A line that is not a JSON object is left out, because a process that is killed may
  leave a line that is cut short.
  """
  if not path.is_file():
    return []
  rows = []
  for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
    try:
      row = json.loads(line)
    except ValueError:
      continue
    if isinstance(row, dict):
      rows.append(row)
  return rows
