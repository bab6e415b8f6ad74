"""Tests which values a field accepts, and the conversion of the text of a flag."""

import math
from typing import Any

import pytest

from ssl_jax import fields
from ssl_jax.fields import MISSING, Rule

ANY = Rule('Anything')


@pytest.mark.parametrize('value, kind, found', [
    (2, float, 2.), (2., float, 2.), (True, float, MISSING), ('2', float, MISSING),
    (math.nan, float, MISSING), (math.inf, float, MISSING), ([2.], float, MISSING),
    (2, int, 2), (2., int, MISSING), (True, int, MISSING), (None, int, MISSING),
    (True, bool, True), (1, bool, MISSING), ('x', str, 'x'), (1, str, MISSING),
    ([1, 2], tuple[float, ...], (1., 2.)), ([], tuple[float, ...], ()),
    ([1, 2, 3], tuple[float, float], MISSING), ([1, 'a'], tuple[float, ...], MISSING),
    (1, tuple[float, ...], MISSING), (None, type(None), None), (0, type(None), MISSING),
    ({'a': 1}, dict, {'a': 1}), (3, dict, MISSING), ([[1], 2], Any, ((1,), 2)),
])
def test_a_value_has_the_type(value, kind, found):
  made = fields.fit(value, kind, ANY)
  assert made == found and type(made) is type(found)


@pytest.mark.parametrize('bounds, inside, outside, words', [
    (dict(low=0), (0, 7), (-1, math.nan), 'from 0 up'),
    (dict(low=0, high=1), (0, 1), (-.1, 1.1), 'from 0 to 1'),
    (dict(above=0), (1e-9,), (0, -1), 'above 0'),
    (dict(above=0, high=1), (.1, 1), (0, 1.1), 'above 0 and up to 1'),
    (dict(low=0, below=1), (0, .9), (1,), 'from 0 and below 1'),
    (dict(below=1), (-5,), (1,), 'below 1'),
])
def test_bounds(bounds, inside, outside, words):
  rule = Rule('A number', **bounds)
  assert all(map(rule.holds, inside)) and not any(map(rule.holds, outside))
  assert rule.range == words
  kinds = tuple[float, ...]
  assert fields.fit(list(inside), kinds, rule) == tuple(map(float, inside))
  assert all(fields.fit([inside[0], x], kinds, rule) is MISSING for x in outside)


def test_a_list_may_need_an_element():
  assert fields.fit([], tuple[int, ...], Rule('A list', nonempty=True)) is MISSING


@pytest.mark.parametrize('annotation, rule, words', [
    (int, Rule('', low=1), 'a whole number from 1 up'),
    (float | None, Rule('', above=0), 'a number above 0 or None'),
    (str | int, Rule('', low=1, choices=('mean', 'max')),
     "'mean', 'max' or a whole number from 1 up"),
    (bool | None, ANY, 'True, False or None'),
    (tuple[float, float], Rule('', low=0), 'a list of 2 numbers from 0 up'),
    (tuple[int, ...], Rule('', nonempty=True), 'a list of one or more whole numbers'),
])
def test_what_is_accepted_in_words(annotation, rule, words):
  assert fields.accepted(annotation, rule) == words


@pytest.mark.parametrize('text, annotation, value', [
    ('3', int, 3), ('3', float, 3.), ('0.5', int, 0.5), ('1e-3', float, 1e-3),
    ('inf', float, math.inf), ('fast', float, 'fast'), ('True', bool, True),
    ('false', bool, False), ('1', bool, True), ('maybe', bool, 'maybe'),
    ('None', float | None, None), ('None', str | None, None), ('None', str, 'None'),
    ('2026', str, '2026'), ("x='1'", str, "x='1'"), ('2', str | int, 2),
    ('mean', str | int, 'mean'), ('auto', float | str | None, 'auto'),
    ('0.9', float | str | None, 0.9), ('(1,2)', tuple[int, ...], (1, 2)),
    ('1,2', tuple[int, ...], (1, 2)), ('1', tuple[int, ...], (1,)),
    ('()', tuple[int, ...], ()), ("{'fraction': 0.1}", dict, {'fraction': 0.1}),
    ('True', float, True),
])
def test_text_is_read_by_the_type_of_the_field(text, annotation, value):
  found = fields.from_text(text, annotation)
  assert found == value and type(found) is type(value)
