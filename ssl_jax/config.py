"""Declares the fields of a config, and parses it, which checks it.

A section of a config is declared in the module that uses it: as a dataclass whose
fields are made by `field`, or as a builder whose keyword-only parameters are described
by `parameters`. `build` makes either from plain values. The annotation of a field is
its type, and its `Rule` limits the values. A whole config is a dataclass of sections.
`build` checks it, and its attributes are the results of the sections.
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
  """Holds the results of a section with variants."""
  shared: dict[str, Any]  # plain fields that all variants share
  made: dict[str, Any]    # the result of each variant by its name, in sorted order
  counts: dict[str, int]  # the number of times that each variant is used, by its name


@dataclasses.dataclass(frozen=True)
class Section:
  """Describes a section of a config and its result.

  Attributes:
    target: the dataclass or builder, or a table of them by name.
    key: the field that names an entry of the table.
    given: arguments of the target that the program sets, and not the config. The result
      is then a `functools.partial` of the target, which is called with them.
    optional: whether the section may be absent, None or empty.
    default: the fields of an absent section; None makes the result None.
    none_is_default: whether a field that is None counts as not set.
    overrides: whether the result is the dict of the plain fields that are set.
    extra: fields that every entry of the table has in addition to its own. They are
      checked, and the program reads them from the plain config.
    variants: the name of a field, or ''. That field holds, by names that the user
      chooses, fields that replace those of the section in one of several uses, and
      optionally a `count` of uses. The result is then `Variants`.
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
    """Returns the target that the fields select, and the fields of that target."""
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
    """Returns the fields that variants share, and all fields of each by its name."""
    own = {k: v for k, v in value.items() if not k or k != self.variants}
    variants = (value.get(self.variants) or {}) if self.variants else {}
    return own, {name: {**own, **fields} for name, fields in sorted(variants.items())}

  def parse(self, value: Any, path: str) -> Any:
    """Returns the result of a plain value of the section at `path`.

    Raises:
      errors.UserError: a field or a value is not accepted.
    """
    if self.optional and (value is None or value == {}):
      return None if self.default is None else self._make(self.default, path)
    if not isinstance(value, Mapping):
      raise errors.UserError(
          f'{path} is {value!r}, but it is a section; set one of its fields, such as '
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
  default: Any  # MISSING if it must be set
  rule: Rule
  section: Section | None = None

  @property
  def accepted(self) -> str:
    """The accepted values in words."""
    return 'a section' if self.section else fields_lib.accepted(self.type, self.rule)

  def parse(self, value: Any, path: str) -> Any:
    """Checks one value; a list becomes a tuple, and an int a float in a float field.

    Raises:
      errors.UserError: the value is not accepted; the message says what is accepted.
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
  """Declares a field of a dataclass.

  Args:
    default: the default value; without it, the field must be set.
    doc: one line that describes the field; see `Rule`.
    **bounds: other attributes of `Rule`.
  """
  return dataclasses.field(default=default, metadata={'rule': Rule(doc, **bounds)})


def section(target: Target | Mapping[str, Target], *, doc: str = '',
            **how: Any) -> Any:
  """Declares a field that is a section.

  Args:
    target: the dataclass or builder, or a table of them by name.
    doc: one line that describes the section.
    **how: other attributes of `Section`.
  """
  found = Section(target, **{'optional': 'default' in how, **how})
  return dataclasses.field(default=None if found.optional else MISSING,
                           metadata={'rule': Rule(doc), 'section': found})


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
  """Returns the fields of a dataclass or builder by name, except for those `given`."""
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
  """Checks a dataclass in its `__post_init__`, or raises `errors.UserError`."""
  for name, one in schema(type(made)).items():
    value = one.parse(getattr(made, name), f'config.{section}.{name}')
    object.__setattr__(made, name, value)


def leaves(target: Target, config: Mapping[str, Any], given: Collection[str] = ()
           ) -> Iterator[tuple[str, Field]]:
  """Yields the path, such as 'optim.learning_rate', and the field of all leaves.

  Args:
    target: the dataclass or builder that declares the config.
    config: plain values of the config. Their keys select entries of tables; for a table
      whose key is not set, only the key itself is yielded.
    given: names of arguments of `target` that a config cannot set.
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
  """Yields the path and the field of all leaves of the section at `path`."""
  part = one.section
  if part.key:
    yield f'{path}.{part.key}', Field(
        part.key, str, MISSING, Rule(one.rule.doc, choices=tuple(part.target)))
    if values.get(part.key) not in part.target:
      return
  yield from ((f'{path}.{extra.name}', extra) for extra in part.extra)
  chosen, values = part.choose(values, path)
  for name, leaf in leaves(chosen, values, part.given):
    yield f'{path}.{name}', leaf


def parse(target: Target, fields: Mapping[str, Any], section: str = '',
          given: Collection[str] = ()) -> dict[str, Any]:
  """Checks the fields of one section against a dataclass or builder.

  Args:
    target: the dataclass or builder.
    fields: plain values by name.
    section: its name in messages, such as 'optim'; '' for the whole config.
    given: names of arguments of `target` that a config cannot set.

  Returns:
    Arguments of `target` by name, of the annotated types: those that `fields` set, and
    absent sections that have a default.

  Raises:
    errors.UserError: `target` has no such field (the message suggests the nearest
      name), a field is missing, or a value is not accepted.
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
    section: its name in messages, such as 'optim'; '' for the whole config.
    **given: further arguments, which the config cannot set.

  Raises:
    errors.UserError: `parse` does not accept the fields.
  """
  return target(**given, **parse(target, fields, section, given))
