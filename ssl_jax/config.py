"""Declares what a config may hold, checks it, and takes it to JSON and back.

A section of a config is declared where it is used: as a dataclass whose fields are
made by `field`, or as a builder whose keyword-only parameters are described by
`parameters`. `build` makes either from plain values. The type of a field is its
annotation, and the rest is its `Rule`.
"""

import dataclasses
import functools
import inspect
import json
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ssl_jax import errors, renamed
from ssl_jax import fields as fields_lib
from ssl_jax.fields import Rule

T = TypeVar('T')
MISSING = dataclasses.MISSING
Target = Callable[..., Any]  # a dataclass, or a builder with keyword-only parameters


@dataclasses.dataclass(frozen=True)
class Section:
  """States what a section of a config is made into.

  Attributes:
    target: the dataclass or builder; or a table of them.
    key: the field that names an entry of the table.
    given: arguments of the target that the program sets, not the config.
    optional: whether the section may be absent or None.
    none_is_default: whether None in a field of the section means that it is not set.
    variants: the field that holds, by names of the user's choice, fields that take the
      place of the section's own in one of several uses; '' where there is none. A
      variant may also have a `count`.
  """
  target: Target | Mapping[str, Target]
  key: str = ''
  given: tuple[str, ...] = ()
  optional: bool = False
  none_is_default: bool = False
  variants: str = ''

  def choose(self, fields: Mapping[str, Any], path: str) -> tuple[Target, dict]:
    """Returns the target that the fields name, and the fields that are for it."""
    fields = {k: v for k, v in fields.items()
              if v is not None or not self.none_is_default}
    if not self.key:
      return self.target, fields
    name = fields.pop(self.key, '')
    if path.endswith('protocol') and name in renamed.PROTOCOLS:
      raise errors.UserError(f'{path}.{self.key} is {name!r}, which is now called '
                             f'{renamed.PROTOCOLS[name]!r}; rename it')
    return errors.lookup(f'{path}.{self.key}', name, self.target), fields

  def split(self, value: Mapping[str, Any]) -> tuple[dict, dict[str, dict]]:
    """Returns the fields that variants share, and by name all fields of each."""
    own = {k: v for k, v in value.items() if not k or k != self.variants}
    variants = (value.get(self.variants) or {}) if self.variants else {}
    return own, {name: {k: v for k, v in {**own, **fields}.items() if k != 'count'}
                 for name, fields in variants.items()}

  def parse(self, value: Any, path: str) -> Any:
    """Returns the dataclass, or checked arguments where the program gives others."""
    if not isinstance(value, Mapping):
      raise errors.UserError(
          f'{path} is {value!r}; it is a section, so set one of its fields, such as '
          f'--{path}.{self.key or next(iter(schema(self.target)))}')
    value, variants = self.split(value)
    for name, fields in variants.items():
      self.parse(fields, f'{path}.{self.variants}.{name}')
    if variants and self.key not in value:  # each variant names an entry of its own
      return value
    target, fields = self.choose(value, path)
    arguments = parse(target, fields, path.removeprefix('config.'), self.given)
    complete = not self.given and dataclasses.is_dataclass(target)
    return target(**arguments) if complete else arguments


class Field(NamedTuple):
  """One field of a section."""
  name: str
  type: Any
  default: Any  # MISSING where it must be set
  rule: Rule
  section: Section | None = None

  @property
  def accepted(self) -> str:
    """The accepted values in words."""
    if self.section:
      return 'a section'
    return fields_lib.accepted(self.type, self.rule)

  def parse(self, value: Any, path: str) -> Any:
    """Checks one value; lists become tuples, whole numbers floats where those belong.

    Raises:
      errors.UserError: it is not accepted; the sentence says what is.
    """
    if self.section:
      optional = value is None and self.section.optional
      return None if optional else self.section.parse(value, path)
    for kind in fields_lib.members(self.type):
      if (found := fields_lib.fit(value, kind, self.rule)) is not MISSING:
        return found
    hint = errors.suggestion(value, self.rule.choices) if isinstance(value, str) else ''
    raise errors.UserError(f'{path} is {value!r}; accepted is {self.accepted}{hint}')


def field(default: Any = MISSING, *, doc: str, **bounds: Any) -> Any:
  """Declares a field of a dataclass; `bounds` are the other attributes of `Rule`."""
  return dataclasses.field(default=default, metadata={'rule': Rule(doc, **bounds)})


def section(target: Target | Mapping[str, Target], *, doc: str = '',
            **how: Any) -> Any:
  """Declares a field that is a section; `how` are the other attributes of `Section`."""
  held = Section(target, **how)
  return dataclasses.field(default=None if held.optional else MISSING,
                           metadata={'rule': Rule(doc), 'section': held})


def internal(doc: str) -> Any:
  """Declares a section that the program writes and --help does not show."""
  return dataclasses.field(default=None, metadata={'rule': Rule(doc, internal=True)})


def parameters(**rules: Rule) -> Callable[[T], T]:
  """Describes the keyword-only parameters of a builder."""
  def decorate(builder):
    builder.rules = rules
    return builder
  return decorate


def schema(target: Target, given: Collection[str] = ()) -> dict[str, Field]:
  """Returns the fields of a dataclass or builder by name, without those `given`."""
  if dataclasses.is_dataclass(target):
    hints = typing.get_type_hints(target)
    found = [Field(f.name, hints[f.name], _default(f), f.metadata.get('rule', Rule('')),
                   f.metadata.get('section'))
             for f in dataclasses.fields(target) if f.init]
  else:
    function = target.func if isinstance(target, functools.partial) else target
    hints = typing.get_type_hints(function)
    rules = getattr(function, 'rules', {})
    found = [Field(p.name, hints.get(p.name, Any),
                   MISSING if p.default is p.empty else p.default,
                   rules.get(p.name, Rule('')))
             for p in inspect.signature(target).parameters.values()
             if p.kind is p.KEYWORD_ONLY]
  return {f.name: f for f in found if f.name not in given}


def _default(declared: dataclasses.Field) -> Any:
  made = declared.default_factory
  return declared.default if made is MISSING else made()


def validate(made: Any, section: str) -> None:
  """Checks a dataclass that was made without `build`; for its `__post_init__`.

  Raises:
    errors.UserError: a value is not accepted.
  """
  for name, one in schema(type(made)).items():
    value = one.parse(getattr(made, name), f'config.{section}.{name}')
    object.__setattr__(made, name, value)


def leaves(target: Target, config: Mapping[str, Any], given: Collection[str] = ()
           ) -> Iterator[tuple[str, Field]]:
  """Yields ('optim.learning_rate', its field) for all that a config may set.

  Args:
    target: what the config is for.
    config: its plain values, which may name entries of tables; of a section that
      names none, only the field that would is found.
    given: as for `parse`.
  """
  for name, one in schema(target, given).items():
    if one.section is None:
      yield name, one
      continue
    inner = config.get(name)
    shared, variants = one.section.split(inner if isinstance(inner, Mapping) else {})
    yield from _section_leaves(one, shared, name)
    for variant, values in variants.items():
      path = f'{name}.{one.section.variants}.{variant}'
      yield from _section_leaves(one, values, path)


def _section_leaves(one: Field, values: Mapping[str, Any],
                    path: str) -> Iterator[tuple[str, Field]]:
  """Yields what `leaves` does, for one section that lies at `path`."""
  held = one.section
  if held.key:
    yield f'{path}.{held.key}', Field(
        held.key, str, MISSING, Rule(one.rule.doc, choices=tuple(held.target)))
    if values.get(held.key) not in held.target:
      return
  chosen, values = held.choose(values, path)
  for name, leaf in leaves(chosen, values, held.given):
    yield f'{path}.{name}', leaf


def parse(target: Target, fields: Mapping[str, Any], section: str = '',
          given: Collection[str] = ()) -> dict[str, Any]:
  """Checks the fields of one section against a dataclass or builder.

  Args:
    target: what is to be made of the section.
    fields: plain values by name.
    section: its name for messages, such as 'optim'; '' for the whole config.
    given: names of arguments of `target` that a config cannot set.

  Returns:
    The arguments that `fields` set, of the annotated types.

  Raises:
    errors.UserError: a field that `target` does not have (the nearest name is
      given), one that it needs and `fields` lacks, or a value that is not accepted.
  """
  accepted = schema(target, given)
  prefix = f'config.{section}.' if section else 'config.'
  for name in fields:
    if name not in accepted:
      if new := renamed.FIELDS.get((section.rpartition('.')[2], name)):
        raise errors.UserError(f'{prefix}{name} is now called {prefix}{new}; rename it')
      raise errors.UserError(
          f'{prefix}{name} is not a field{errors.suggestion(name, accepted)} '
          f'({section or "this config"} accepts {", ".join(accepted) or "none"})')
  values = {}
  for name, one in accepted.items():
    if name in fields:
      values[name] = one.parse(fields[name], prefix + name)
    elif one.default is MISSING:
      raise errors.UserError(f'{prefix}{name} is missing; accepted is {one.accepted}')
  return values


def build(target: Callable[..., T], fields: Mapping[str, Any], section: str = '',
          **given: Any) -> T:
  """Makes a dataclass, or calls a builder, with the checked fields of a section.

  Args:
    target: the dataclass or builder.
    fields: plain values by name.
    section: as for `parse`.
    **given: further arguments, which the config cannot set.

  Raises:
    errors.UserError: as `parse`.
  """
  return target(**given, **parse(target, fields, section, given))


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
  """Names what differs between two configs: `'seed: 0 -> 1'`.

  A field of a section `data` that is None says as little as one that is absent.
  """
  a, b = (
      {name: value for name, value in flatten(plain(config))
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
  """The first three of what `difference` found, and how many more there are."""
  more = f' and {len(changed) - 3} more' if len(changed) > 3 else ''
  return '; '.join(changed[:3]) + more
