"""Reads JSONL files, such as metrics.jsonl, without JAX."""

import json
import pathlib
from typing import Any


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the objects of a JSONL file, one per line; [] if the file does not exist.

  Lines that are not JSON objects are ignored, because a process that is killed may
  leave an incomplete line.
  """
  if not path.is_file():
    return []
  records = []
  for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
    try:
      record = json.loads(line)
    except ValueError:
      continue
    if isinstance(record, dict):
      records.append(record)
  return records
