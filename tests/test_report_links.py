"""Addresses of a run's files."""

from ssl_jax.report import links
from ssl_jax.report.study import MethodRun


def test_addresses_are_relative_to_the_report_and_quoted():
  run = MethodRun('a b', 0, (), {}, {}, folder='a b/seed0')
  assert links.address(run) == '../a%20b/seed0/'
  assert links.address(run, 'x#/result.json') == '../a%20b/seed0/x%23/result.json'
