"""Describes the values that a field of a config accepts, and checks them."""

import ast
import dataclasses
import math
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

MISSING = dataclasses.MISSING
_BOOLEANS = {'true': True, 't': True, '1': True,
             'false': False, 'f': False, '0': False}


@dataclasses.dataclass(frozen=True)
class Rule:
  """Limits the values of a field beyond its type; bounds apply to all its numbers.

  Attributes:
    doc: one line that --help shows.
    low: lower bound, which is accepted.
    high: upper bound, which is accepted.
    above: lower bound, which is not accepted.
    below: upper bound, which is not accepted.
    choices: the accepted strings; if it is empty, all strings are accepted.
    nonempty: whether a list must have at least one element.
    internal: whether the program sets the field, so that --help does not show it.
  """
  doc: str
  low: float | None = None
  high: float | None = None
  above: float | None = None
  below: float | None = None
  choices: Collection[str] = ()
  nonempty: bool = False
  internal: bool = False

  def holds(self, number: float) -> bool:
    """Returns whether a number is within the bounds; NaN and infinity never are."""
    return (math.isfinite(number)
            and (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below))

  @property
  def range(self) -> str:
    """The bounds in words, such as 'above 0 and up to 1'."""
    if self.low is not None:
      start = f'from {self.low}'
      if self.high is not None:
        return f'{start} to {self.high}'
    else:
      start = '' if self.above is None else f'above {self.above}'
    end = (f'up to {self.high}' if self.high is not None else
           f'below {self.below}' if self.below is not None else '')
    if start and end:
      return f'{start} and {end}'
    return f'{start} up' if self.low is not None else start or end


def members(annotation: Any) -> tuple[Any, ...]:
  """Returns the members of a union, or the type itself."""
  if typing.get_origin(annotation) in (typing.Union, types.UnionType):
    return typing.get_args(annotation)
  return (annotation,)


def fit(value: Any, kind: Any, rule: Rule) -> Any:
  """Converts a value to a type.

  Args:
    value: a plain value of a config.
    kind: the type, which is not a union.
    rule: the bounds and choices.

  Returns:
    The value as a `kind`, or MISSING if it is of another type or not accepted.
  """
  origin = typing.get_origin(kind)
  number = isinstance(value, int | float) and not isinstance(value, bool)
  if kind is Any:
    return _tuples(value)
  if kind is types.NoneType:
    return None if value is None else MISSING
  if kind is bool:
    return value if isinstance(value, bool) else MISSING
  if kind is float:
    return float(value) if number and rule.holds(value) else MISSING
  if kind is int:
    whole = number and isinstance(value, int)
    return value if whole and rule.holds(value) else MISSING
  if kind is str:
    ok = isinstance(value, str) and (not rule.choices or value in rule.choices)
    return value if ok else MISSING
  if origin is tuple:
    return _fit_tuple(value, typing.get_args(kind), rule)
  return value if isinstance(value, Mapping) else MISSING


def _fit_tuple(value: Any, kinds: tuple[Any, ...], rule: Rule) -> Any:
  if not isinstance(value, list | tuple) or rule.nonempty and not value:
    return MISSING
  if kinds[-1] is Ellipsis:
    kinds = kinds[:1] * len(value)
  if len(kinds) != len(value):
    return MISSING
  found = tuple(fit(v, k, rule) for v, k in zip(value, kinds, strict=True))
  return MISSING if MISSING in found else found


def accepted(annotation: Any, rule: Rule) -> str:
  """Describes the accepted values in words: 'a whole number from 1 up or None'."""
  ways = []
  for kind in members(annotation):
    if kind is bool:
      ways += ['True', 'False']
    elif kind is str and rule.choices:
      ways += map(repr, rule.choices)
    else:
      ways.append(_words(kind, rule))
  *first, last = ways
  return f'{", ".join(first)} or {last}' if first else last


def _words(kind: Any, rule: Rule, plural: str = '') -> str:
  """Describes a type and its bounds in words: 'a whole number from 1 up'."""
  article = '' if plural else 'a '
  bounds = f' {rule.range}' if rule.range else ''
  if kind in (int, float):
    whole = 'whole ' if kind is int else ''
    return f'{article}{whole}number{plural}{bounds}'
  if typing.get_origin(kind) is tuple:
    kinds = typing.get_args(kind)
    count = (f'{len(kinds)} ' if kinds[-1] is not Ellipsis else
             'one or more ' if rule.nonempty else '')
    return f'a list of {count}{_words(kinds[0], rule, "s")}'
  return {str: f'{article}string{plural}', Any: 'anything',
          types.NoneType: 'None'}.get(kind, 'a section of fields')


def _tuples(value: Any) -> Any:
  if isinstance(value, list | tuple):
    return tuple(_tuples(v) for v in value)
  return value


def from_text(text: str, annotation: Any) -> Any:
  """Converts the text of a flag to a value for a field of this type.

  Text that does not fit the type becomes the Python literal that it spells, or remains
  a string; `fit` then rejects it.
  """
  kinds = members(annotation)
  if types.NoneType in kinds and text == 'None':
    return None
  if bool in kinds and text.lower() in _BOOLEANS:
    return _BOOLEANS[text.lower()]
  value = literal(text)
  if float in kinds and isinstance(value, str):
    try:
      return float(text)  # 'nan' and 'inf' too
    except ValueError:
      pass
  if any(typing.get_origin(kind) is tuple for kind in kinds):
    return tuple(value) if isinstance(value, list | tuple) else (value,)
  number = isinstance(value, int | float) and not isinstance(value, bool)
  if number and float in kinds and int not in kinds:
    return float(value)
  if str in kinds and not (number and (int in kinds or float in kinds)):
    return text
  return value


def literal(text: str) -> Any:
  """Returns the Python literal that a text spells, or the text."""
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    return text
