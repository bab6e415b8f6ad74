"""Tests the length of a training run, and its steps per dispatch."""

import types

import pytest

from ssl_jax.train import training


@pytest.mark.parametrize('asked, total, expected', [
    (0, 97_000, 25), (0, 31_200, 32), (0, 64, 32), (0, 97, 32), (0, 20, 20), (0, 0, 32),
    (0, 40 * 41, 20), (7, 64, 7), (500, 64, 97)])
def test_steps_per_dispatch(monkeypatch, asked, total, expected):
  """They divide the steps of a run, so its end needs no second program."""
  monkeypatch.setattr(training, 'STEPS_PER_DISPATCH', {})
  run = types.SimpleNamespace(
      log=training.LogConfig(steps_per_dispatch=asked), total_steps=total,
      feed=types.SimpleNamespace(max_steps_per_dispatch=97))
  assert training.steps_per_dispatch(run) == expected
  monkeypatch.setattr(training, 'STEPS_PER_DISPATCH', {'cpu': 1})
  assert training.steps_per_dispatch(run) == (expected if asked else 1)


@pytest.mark.parametrize('every, before, after, expected', [
    (0, 0, 9, False), (5, 0, 4, False), (5, 4, 5, True), (5, 5, 6, False),
    (5, 3, 8, True), (5, 5, 9, False)])
def test_crossed(every, before, after, expected):
  assert training.crossed(every, before, after) is expected
