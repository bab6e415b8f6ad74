"""Declares what a config may hold, and parses it, which checks it.

A section of a config is declared where it is used: as a dataclass whose fields are
made by `field`, or as a builder whose keyword-only parameters are described by
`parameters`. `build` makes either from plain values. The type of a field is its
annotation, and the rest is its `Rule`. A whole config is a dataclass of sections; to
build it is to check it, and its attributes are what the sections are made into.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from ssl_jax import errors, renamed
from ssl_jax import fields as fields_lib
from ssl_jax.fields import Rule

T = TypeVar('T')
MISSING = dataclasses.MISSING
Target = Callable[..., Any]  # a dataclass, or a builder with keyword-only parameters


class Variants(NamedTuple):
  """Holds what a section with variants is made into.

  Attributes:
    shared: the plain fields that all variants share, as the config gives them.
    made: what each variant is made into, by its name, in the order of the names.
    counts: how many times each variant is used, by its name.
  """
  shared: dict[str, Any]
  made: dict[str, Any]
  counts: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Section:
  """States what a section of a config is made into.

  Attributes:
    target: the dataclass or builder; or a table of them.
    key: the field that names an entry of the table.
    given: arguments of the target that the program sets, not the config. The section
      becomes a `functools.partial` of the target, to be called with them.
    optional: whether the section may be absent, None or empty.
    default: the fields that stand for an absent section; without them an absent
      section becomes None.
    none_is_default: whether None in a field of the section means that it is not set.
    overrides: whether the section becomes a dict of the plain fields that are set, once
      they are checked: they take the place of fields of another config.
    extra: fields that every entry of the table has in addition to its own. They are
      checked, and the program reads them from the plain config.
    variants: the field that holds, by names of the user's choice, fields that take the
      place of the section's own in one of several uses; '' where there is none. A
      variant may also have a `count`. The section then becomes `Variants`.
  """
  target: Target | Mapping[str, Target]
  key: str = ''
  given: tuple[str, ...] = ()
  optional: bool = False
  default: Mapping[str, Any] | None = None
  none_is_default: bool = False
  overrides: bool = False
  extra: 'tuple[Field, ...]' = ()
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
    return own, {name: {**own, **fields} for name, fields in sorted(variants.items())}

  def parse(self, value: Any, path: str) -> Any:
    """Returns what the section is made into, see the attributes.

    Raises:
      errors.UserError: a field or a value is not accepted.
    """
    if self.optional and (value is None or value == {}):
      return None if self.default is None else self._make(self.default, path)
    if not isinstance(value, Mapping):
      raise errors.UserError(
          f'{path} is {value!r}; it is a section, so set one of its fields, such as '
          f'--{path}.{self.key or next(iter(schema(self.target)))}')
    shared, variants = self.split(value)
    if not variants:
      return self._make(shared, path)
    made, counts = {}, {}
    for name, fields in variants.items():
      inner = f'{path}.{self.variants}.{name}'
      counts[name] = _COUNT.parse(fields.pop('count', 1), f'{inner}.count')
      made[name] = self._make(fields, inner)
    return Variants(shared, made, counts)

  def _make(self, fields: Mapping[str, Any], path: str) -> Any:
    target, arguments = self.choose(fields, path)
    for one in self.extra:
      one.parse(arguments.pop(one.name, one.default), f'{path}.{one.name}')
    arguments = parse(target, arguments, path.removeprefix('config.'), self.given)
    if self.given:
      return functools.partial(target, **arguments)
    made = target(**arguments)
    if self.overrides:
      return {name: value for name, value in fields.items()
              if value is not None or not self.none_is_default}
    return made


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
    return 'a section' if self.section else fields_lib.accepted(self.type, self.rule)

  def parse(self, value: Any, path: str) -> Any:
    """Checks one value; lists become tuples, whole numbers floats where those belong.

    Raises:
      errors.UserError: it is not accepted; the sentence says what is.
    """
    if self.section:
      return self.section.parse(value, path)
    for kind in fields_lib.members(self.type):
      if (found := fields_lib.fit(value, kind, self.rule)) is not MISSING:
        return found
    hint = errors.suggestion(value, self.rule.choices) if isinstance(value, str) else ''
    raise errors.UserError(f'{path} is {value!r}; accepted is {self.accepted}{hint}')


_COUNT = Field('count', int, 1, Rule('Number of times the variant is used', low=1))


def field(default: Any = MISSING, *, doc: str, **bounds: Any) -> Any:
  """Declares a field of a dataclass; `bounds` are the other attributes of `Rule`."""
  return dataclasses.field(default=default, metadata={'rule': Rule(doc, **bounds)})


def section(target: Target | Mapping[str, Target], *, doc: str = '',
            **how: Any) -> Any:
  """Declares a field that is a section; `how` are the other attributes of `Section`."""
  held = Section(target, **{'optional': 'default' in how, **how})
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
  made, arguments = target, {}
  if isinstance(target, functools.partial):
    made, arguments = target.func, target.keywords
  hints = typing.get_type_hints(made)
  if dataclasses.is_dataclass(made):
    found = [Field(f.name, hints[f.name], arguments.get(f.name, f.default),
                   f.metadata.get('rule', Rule('')), f.metadata.get('section'))
             for f in dataclasses.fields(made) if f.init]
  else:
    rules = getattr(made, 'rules', {})
    found = [Field(p.name, hints.get(p.name, Any),
                   MISSING if p.default is p.empty else p.default,
                   rules.get(p.name, Rule('')))
             for p in inspect.signature(target).parameters.values()
             if p.kind is p.KEYWORD_ONLY]
  return {f.name: f for f in found if f.name not in given}


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
  yield from ((f'{path}.{extra.name}', extra) for extra in held.extra)
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
    The arguments that `fields` set, of the annotated types, and absent sections that
    have a default.

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
    if name in fields or one.section and one.section.default is not None:
      values[name] = one.parse(fields.get(name), prefix + name)
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
