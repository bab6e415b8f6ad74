"""Tests which dispatches the profiler traces."""

import jax
import pytest
import stub_encoder
import tiny

from ssl_jax.jobs import pretrain
from ssl_jax.train import profile


def test_profile_leaves_a_trace(tmp_path):
  fields = {**tiny.config(epochs=4), 'model': {'name': 'stub'}}
  fields['log']['profile'] = True
  with stub_encoder.registered():
    pretrain.run(fields, tmp_path)
  assert list((tmp_path / 'profile').rglob('*.xplane.pb'))


@pytest.fixture
def traced(monkeypatch):
  """Lists the calls of the profiler of JAX instead of making them."""
  calls = []
  monkeypatch.setattr(jax.profiler, 'start_trace', calls.append)
  monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: calls.append('stop'))
  return calls


def test_five_dispatches_are_traced_from_the_start_on(tmp_path, traced):
  with profile.Profiler(tmp_path, start=30, on=True) as profiler:
    for step in range(10, 31, 10):
      assert not traced
      profiler.at(step)
    assert traced == [str(tmp_path / 'profile')]
    for step in range(40, 200, 10):
      assert ('stop' in traced) == (step > 80)
      profiler.at(step)
  assert traced == [str(tmp_path / 'profile'), 'stop']


def test_a_run_that_ends_early_stops_the_trace(tmp_path, traced):
  with profile.Profiler(tmp_path, start=1, on=True) as profiler:
    profiler.at(1)
  assert traced == [str(tmp_path / 'profile'), 'stop']


def test_nothing_is_traced_unless_it_is_wanted(tmp_path, traced):
  with profile.Profiler(tmp_path, start=0, on=False) as profiler:
    for step in range(10):
      profiler.at(step)
  assert not traced
