"""Tests the figures of a tiny run, by a clock and samples that the test controls."""

import json
import types

import jax
import pytest
import tiny

from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import (
  hardware,
  measure,
  tables,
  timing,
  workload,
)

PARTS = ['augmentation', 'forward', 'backward', 'loss', 'optimizer']
BATCH = 16
TIMES = {  # seconds in each of three rounds; every sum below is exact
    'with feed': (4.0, 2.0, 3.0), 'without feed': (3.5, 2.0, 2.5),
    'augmentation': (0.25, 0.5, 0.25), 'forward and objective': (0.5, 0.625, 0.75),
    'gradient': (1.5, 1.25, 1.75), 'objective': (0.125, 0.125, 0.25),
    'loss': (0.25, 0.25, 0.25), 'optimizer': (0.125, 0.125, 0.25)}


class Clock:
  """Replaces the module `time`; every call of perf_counter takes some seconds."""

  def __init__(self, seconds_per_look=1.0):
    self.now, self._per_look = 0.0, seconds_per_look

  def perf_counter(self):
    self.now += self._per_look
    return self.now


@pytest.fixture(autouse=True, scope='module')
def one_device_and_no_real_clock():
  mesh = mesh_lib.data_mesh
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(timing, 'time', Clock())
    patch.setattr(
        mesh_lib, 'data_mesh', lambda hardware=jax.devices()[:1]: mesh(hardware))
    yield


@pytest.fixture(scope='module')
def result():
  """Returns figures of a real step, with given samples, cost and two devices."""
  cost = types.SimpleNamespace(views=2, train_flops=6e9, seconds=lambda device: 0.05)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(measure, 'sample_parts', lambda *unused: TIMES)
    patch.setattr(measure, 'find_device',
                  lambda run: hardware.Device('chip', 1e12, 1e11, 1))
    patch.setattr(measure, 'independent_devices', lambda run: 2)
    patch.setattr(measure.network, 'cost', lambda *unused: cost)
    return measure.run(tiny.config(), 'synthetic', repeats=3)


def test_speed_is_images_by_seconds(result):
  json.dumps(result)
  assert result['batch_size'] == BATCH and result['views_per_image'] == 2
  assert result['step_seconds'] == {'median': 3, 'min': 2, 'max': 4}
  assert result['images_per_second'] == {'median': BATCH / 3, 'min': 4, 'max': 8}
  assert result['views_per_second'] == {'median': BATCH * 2 / 3, 'min': 8, 'max': 16}
  assert result['peak_memory_bytes'] > 0
  # The clock is read at the start, around the compiler and around the first step.
  assert (result['compile_seconds'], result['first_step_seconds']) == (1, 5)


def test_shares_of_what_a_device_can_do(result):
  per_device = BATCH / 3 / 2
  assert result['mfu'] == pytest.approx(per_device * 6e9 / 1e12)
  assert result['roofline_images_per_second'] == pytest.approx(2 / 0.05)
  assert result['roofline_fraction'] == pytest.approx(per_device * 0.05)


def test_the_split_adds_up_to_the_step(result):
  assert result['split_seconds'] == {
      'augmentation': {'median': 0.25, 'min': 0.25, 'max': 0.5},
      # Rounds of 0.375, 0.5, 0.5: with the objective less the objective alone.
      'forward': {'median': 0.5, 'min': 0.375, 'max': 0.5},
      # 0.875, 0.5, 1.0: the gradient less the forward pass and the objective's own.
      'backward': {'median': 0.875, 'min': 0.5, 'max': 1.0},
      'loss': {'median': 0.25, 'min': 0.25, 'max': 0.25},
      'optimizer': {'median': 0.125, 'min': 0.125, 'max': 0.25},
      'other': {'median': 3 - 2 - 0.5},
      'input wait': {'median': 0.5, 'min': 0, 'max': 0.5}}
  assert list(result['split_seconds']) == [*PARTS, 'other', 'input wait']


def test_every_part_is_compiled_and_sampled_in_every_round():
  run = workload.training_run(tiny.config(), 'synthetic')
  times = measure.sample_parts(run, timing.CompiledStep(run), repeats=2)
  assert times == dict.fromkeys(TIMES, [1., 1.])  # one call, one second by this clock


def test_the_table_is_aligned_and_holds_the_figures(result):
  table = tables.measured(result)
  for name in ('images/s', 'views/s', 'MFU', 'roofline', 'peak memory', *PARTS):
    assert name in table
  assert f'{result["images_per_second"]["median"]:,.4g}' in table
  assert tables.aligned([('a', 'bc'), ('def', 'g')]) == 'a    bc\ndef  g'


def test_an_unknown_device_leaves_out_what_needs_it(result):
  known = {k: v for k, v in result.items() if k not in ('mfu', 'device')}
  table = tables.measured(known)
  assert 'MFU' not in table and 'images/s' in table
