"""Tests durations in words against examples."""

import pytest

from ssl_jax import durations


@pytest.mark.parametrize('seconds, text', [
    (0, '0.0 s'), (9.94, '9.9 s'), (9.97, '10 s'), (59.4, '59 s'),
    (59.6, '1 min 00 s'), (65, '1 min 05 s'), (200, '3 min 20 s'),
    (3599.7, '1 h 00 min'), (7500, '2 h 05 min'), (86369, '23 h 59 min'),
    (86371, '1 d 00 h'), (93784, '1 d 02 h')])
def test_two_units_at_most(seconds, text):
  assert durations.text(seconds) == text


@pytest.mark.parametrize('seconds, text', [
    (0.4, '0:00'), (65, '1:05'), (3600, '1:00:00'), (93784, '1 d 2 h')])
def test_clock(seconds, text):
  assert durations.clock(seconds) == text
