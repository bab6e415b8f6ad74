"""From ml_collections to frozen dataclasses, and to JSON and back."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ssl_jax import errors

T = TypeVar('T')


def build(cls: type[T], fields: Mapping[str, Any], section: str) -> T:
  """Makes the dataclass `cls` from one section of a config.

  Lists become tuples, so that what is built stays hashable after a round trip
  through JSON.

  Raises:
    errors.UserError: a field that `cls` does not have (the nearest name is
      given), or one that it needs and `fields` lacks.
  """
  accepted = {f.name: f for f in dataclasses.fields(cls) if f.init}
  for name in fields:
    if name not in accepted:
      raise errors.UserError(
          f'config.{section}.{name} is not a field{errors.nearest(name, accepted)} '
          f'({section} accepts {", ".join(accepted)})')
  for name, field in accepted.items():
    has_default = (field.default is not dataclasses.MISSING
                   or field.default_factory is not dataclasses.MISSING)
    if name not in fields and not has_default:
      raise errors.UserError(f'config.{section}.{name} is missing')
  return cls(**{k: _tuples(v) for k, v in fields.items()})


def _tuples(value: Any) -> Any:
  if isinstance(value, list | tuple):
    return tuple(_tuples(v) for v in value)
  return value


def require(config: Mapping[str, Any], *sections: str) -> None:
  """Raises `errors.UserError` where the config lacks one of its sections."""
  for section in sections:
    if section not in config:
      raise errors.UserError(
          f'config.{section} is missing; this config needs {", ".join(sections)}')


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
  """A ConfigDict (or dict) as JSON would give it back: dicts, lists, scalars."""
  if not isinstance(config, Mapping):
    config = config.to_dict()
  return json.loads(json.dumps(config))


def merge(config: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
  """`config` with the fields of `own` in their place, section by section."""
  merged = dict(config)
  for name, value in own.items():
    theirs = config.get(name)
    both = isinstance(theirs, Mapping) and isinstance(value, Mapping)
    merged[name] = merge(theirs, value) if both else value
  return merged


def flatten(config: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
  """Yields `('optim.learning_rate', 0.3)` for every leaf."""
  for name, value in config.items():
    if isinstance(value, Mapping):
      yield from flatten(value, f'{prefix}{name}.')
    else:
      yield f'{prefix}{name}', value


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Names what differs between two plain configs: `'seed: 0 -> 1'`."""
  a, b = dict(flatten(plain(old))), dict(flatten(plain(new)))
  absent = 'absent'
  return [f'{name}: {a.get(name, absent)!r} -> {b.get(name, absent)!r}'
          for name in sorted(a.keys() | b.keys())
          if a.get(name, absent) != b.get(name, absent)]


def summary(changed: list[str]) -> str:
  """The first three of what `difference` found, and how many more there are."""
  more = f' and {len(changed) - 3} more' if len(changed) > 3 else ''
  return '; '.join(changed[:3]) + more
