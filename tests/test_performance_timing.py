"""Tests samples of the training step with a clock that the test controls."""

import pytest
import stub_encoder
import tiny

from ssl_jax import errors
from ssl_jax.performance import timing, workload


class Clock:
  """Replaces the module `time`; every call of perf_counter takes some seconds."""

  def __init__(self, seconds_per_look=1.0):
    self.now, self._per_look = 0.0, seconds_per_look

  def perf_counter(self):
    self.now += self._per_look
    return self.now


def test_a_sample_is_the_mean_of_calls_that_fill_a_second(monkeypatch):
  clock, calls = Clock(0.), []
  monkeypatch.setattr(timing, 'time', clock)

  def program():
    clock.now += 0.25 if calls else 30.  # the first call compiles
    calls.append(clock.now)

  sample = timing.sampler(program)
  before = len(calls)
  assert sample() == 0.25 and len(calls) - before == 4


def test_a_step_is_a_share_of_its_dispatches(monkeypatch):
  monkeypatch.setattr(timing, 'time', Clock())  # a second passes in `repeat`
  config = {**tiny.config(), 'model': {'name': 'stub'}}
  config['log']['steps_per_dispatch'] = 4
  with stub_encoder.registered():
    run = workload.training_run(config, 'synthetic')
  step, asked, inputs = timing.CompiledStep(run), [], run.feed.inputs
  monkeypatch.setattr(run.feed, 'inputs', lambda first, steps: (
      asked.append((first, steps)), inputs(first, steps))[1])
  assert step.per_dispatch == 4
  assert step.repeat(3) == 1 / (3 * 4)
  assert asked == [(4, 4), (8, 4), (12, 4)]  # the first dispatch came with compiling
  assert step.repeat(2, inputs(0, 4)) == 1 / (2 * 4) and len(asked) == 3


@pytest.mark.parametrize('seconds, calls', [
    (0.25, 4), (0.3, 4), (2., 1), (1e-6, 100), (0., 100)])
def test_calls_per_sample(seconds, calls):
  assert timing.calls_per_sample(seconds) == calls
  assert timing.calls_per_sample(seconds, most=3) == min(calls, 3)


def test_a_loss_that_is_not_finite_is_an_error():
  config = tiny.config(online_probe=False)
  config['optim']['learning_rate'] = 1e38
  step = timing.CompiledStep(workload.training_run(config, 'synthetic'))
  with pytest.raises(errors.UserError, match='loss is nan'):
    step.repeat(4)
