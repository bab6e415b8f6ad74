"""Tests the declaration and the parsing of configs."""

import dataclasses
import functools

import pytest

from ssl_jax import config, errors


@dataclasses.dataclass(frozen=True)
class Engine:
  power: float = config.field(above=0, doc='Power in kW')
  cylinders: int | None = config.field(None, low=1, doc='Number of cylinders')
  fuel: str = config.field('petrol', choices=('petrol', 'diesel'), doc='Fuel')

  def __post_init__(self):
    if self.fuel == 'diesel' and self.power > 100:
      raise errors.UserError('config.engine: too much')


@config.parameters(count=config.Rule('Number of wheels', low=3))
def build_wheels(material: str, *, dtype: type, count: int = 4) -> tuple:
  return material, dtype, count


@dataclasses.dataclass(frozen=True, kw_only=True)
class Car:
  name: str = config.field(doc='Name')
  engine: Engine = config.section(Engine)
  wheels: dict = config.section({'steel': build_wheels}, key='kind', given=('dtype',),
                                optional=True, doc='Wheels')
  spare: dict = config.section(build_wheels, given=('dtype',), default={'count': 3})
  radio: dict = config.section(Engine, optional=True, none_is_default=True)


CAR = {'name': 'a', 'engine': {'power': 3}}


def test_a_whole_config_is_made_of_its_parts():
  car = config.build(Car, {**CAR, 'wheels': {'kind': 'steel', 'count': 5}})
  assert car.engine == Engine(3.) and type(car.engine.power) is float
  assert car.wheels('x', dtype=int) == ('x', int, 5) and car.radio is None


def test_an_absent_section_is_none_or_its_default():
  car = config.build(Car, {**CAR, 'spare': None})
  assert car.wheels is None
  assert car.spare('x', dtype=int) == config.build(Car, CAR).spare('x', dtype=int) == (
      'x', int, 3)


def test_a_partial_of_a_dataclass_has_defaults_of_its_own():
  diesel = functools.partial(Engine, power=9., fuel='diesel')
  assert config.build(diesel, {'cylinders': 2}) == Engine(9., 2, 'diesel')
  assert config.schema(diesel)['fuel'].default == 'diesel'


def test_a_section_of_overrides_holds_what_is_set():
  section = config.Section(Engine, overrides=True, none_is_default=True,
                           optional=True, default={})
  assert section.parse({'power': 3, 'fuel': None}, 'config.engine') == {'power': 3}
  with pytest.raises(errors.UserError, match='config.engine.power is 0'):
    section.parse({'power': 0}, 'config.engine')


def test_variants_share_the_fields_of_their_section():
  section = config.Section({'petrol': Engine}, key='kind', variants='uses')
  made = section.parse({'kind': 'petrol', 'power': 2, 'uses': {
      'b': {'power': 3, 'count': 4}, 'a': {}}}, 'config.engine')
  assert list(made.made.items()) == [('a', Engine(2.)), ('b', Engine(3.))]
  assert made.counts == {'a': 1, 'b': 4}
  assert made.shared == {'kind': 'petrol', 'power': 2}


def test_a_builder_gets_what_the_program_gives():
  assert config.build(build_wheels, {'count': 3}, 'w', material='x', dtype=int) == (
      'x', int, 3)


@pytest.mark.parametrize('fields, sentence', [
    ({**CAR, 'engin': 1}, "config.engin is not a field; did you mean 'engine'"),
    ({'engine': {'power': 1}}, 'config.name is missing; accepted is a string'),
    ({**CAR, 'engine': 3}, 'config.engine is 3, but .*--config.engine.power'),
    ({**CAR, 'engine': {'power': 0}}, 'config.engine.power is 0; accepted is a number'),
    ({**CAR, 'engine': {'power': None}}, 'config.engine.power is None; accepted'),
    ({**CAR, 'engine': {'power': 1, 'fuel': 'disel'}},
     "config.engine.fuel is 'disel'; accepted is 'petrol' or 'diesel'; did you mean"),
    ({**CAR, 'engine': {'power': 101, 'fuel': 'diesel'}}, 'too much'),
    ({**CAR, 'wheels': {'kind': 'stel'}}, "config.wheels.kind is 'stel'.*'steel'"),
    ({**CAR, 'wheels': {'kind': 'steel', 'count': 2}}, 'config.wheels.count is 2'),
    ({**CAR, 'wheels': {'kind': 'steel', 'dtype': 2}}, 'wheels.dtype is not a field'),
])
def test_mistakes_name_the_field_and_what_is_accepted(fields, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    config.build(Car, fields)


def test_none_is_the_default_where_the_section_says_so():
  fields = {**CAR, 'radio': {'power': 1, 'fuel': None}}
  assert config.build(Car, fields).radio == Engine(1.)
  with pytest.raises(errors.UserError, match='config.engine.fuel is None'):
    config.build(Car, {**CAR, 'engine': {'power': 1, 'fuel': None}})


def test_a_dataclass_can_check_what_was_passed_to_it():
  @dataclasses.dataclass(frozen=True)
  class Checked:
    p: float = config.field(0.5, low=0, high=1, doc='Probability')

    def __post_init__(self):
      config.validate(self, 'augment')
  assert Checked(1).p == 1.
  with pytest.raises(errors.UserError, match='config.augment.p is 2'):
    Checked(2)


def test_all_fields_are_listed_by_their_path():
  found = dict(config.leaves(Car, {'wheels': {'kind': 'steel'}}))
  assert list(found) == [
      'name', 'engine.power', 'engine.cylinders', 'engine.fuel', 'wheels.kind',
      'wheels.count', 'spare.count', 'radio.power', 'radio.cylinders', 'radio.fuel']
  assert found['wheels.count'].rule.doc == 'Number of wheels'
  assert found['wheels.kind'].rule.choices == ('steel',)
  assert 'wheels.count' not in dict(config.leaves(Car, {}))
