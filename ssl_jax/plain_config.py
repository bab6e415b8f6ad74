"""Converts configs to plain values, and merges and compares plain values."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ssl_jax import errors


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
  """Converts a ConfigDict or dict to dicts, lists and scalars, as JSON does."""
  if not isinstance(config, Mapping):
    config = config.to_dict()
  return json.loads(json.dumps(config))


def merge(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
  """Returns `config` with fields replaced by `overrides`, section by section."""
  merged = dict(config)
  for name, value in overrides.items():
    present = config.get(name)
    both = isinstance(present, Mapping) and isinstance(value, Mapping)
    merged[name] = merge(present, value) if both else value
  return merged


def flatten(config: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
  """Yields `('optim.learning_rate', 0.3)` for every leaf."""
  for name, value in config.items():
    if isinstance(value, Mapping):
      yield from flatten(value, f'{prefix}{name}.')
    else:
      yield f'{prefix}{name}', value


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Names the fields in which two plain configs differ: `'seed: 0 -> 1'`.

  In a section `data`, a field that is None equals one that is absent.
  """
  a, b = (
      {name: value for name, value in flatten(config)
       if value is not None or 'data' not in name.split('.')[:-1]}
      for config in (old, new))
  absent = 'absent'
  return [f'{name}: {a.get(name, absent)!r} -> {b.get(name, absent)!r}'
          for name in sorted(a.keys() | b.keys())
          if not _same(a.get(name, absent), b.get(name, absent))]


def _same(a: Any, b: Any) -> bool:
  """Returns whether two values are equal; NaN equals itself here."""
  return a == b or (a != a and b != b)


def summary(changed: list[str]) -> str:
  """Returns the first three of the differences, and the number of the others."""
  return errors.listed(changed, 3, '; ')
