"""A tiny run measured on the CPU; the same one compiled for TPUs."""

import importlib.util
import json
import types

import jax
import numpy as np
import pytest
import tiny

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.performance import (
  ahead_of_time,
  forward,
  hardware,
  measure,
  tables,
  timing,
  workload,
)

PARTS = ['augmentation', 'forward', 'backward', 'loss', 'optimizer']
BATCH = 16
TIMES = {  # seconds in each of three rounds; every sum below is exact
    'fed': (4.0, 2.0, 3.0), 'held': (3.5, 2.0, 2.5),
    'augmentation': (0.25, 0.5, 0.25), 'forward and objective': (0.5, 0.625, 0.75),
    'gradient': (1.5, 1.25, 1.75), 'objective': (0.125, 0.125, 0.25),
    'loss': (0.25, 0.25, 0.25), 'optimizer': (0.125, 0.125, 0.25)}


class Clock:
  """Stands in for the module `time`: passes by a second at each look, or as told."""

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
  """A real step; hand-made samples, cost and device, which two shards share."""
  cost = types.SimpleNamespace(views=2, train_flops=6e9, seconds=lambda device: 0.05)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(measure, '_times', lambda *unused: TIMES)
    patch.setattr(measure, '_device',
                  lambda plan: hardware.Device('chip', 1e12, 1e11, 1))
    patch.setattr(measure, '_sharing', lambda plan: 2)
    patch.setattr(measure.network, 'cost', lambda *unused: cost)
    return measure.run(tiny.config(), 'synthetic', repeats=3)


def test_speed_is_images_by_seconds(result):
  json.dumps(result)
  assert result['batch_size'] == BATCH and result['views_per_image'] == 2
  assert result['step_seconds'] == {'median': 3, 'min': 2, 'max': 4}
  assert result['images_per_second'] == {'median': BATCH / 3, 'min': 4, 'max': 8}
  assert result['views_per_second'] == {'median': BATCH * 2 / 3, 'min': 8, 'max': 16}
  assert result['peak_memory_bytes'] > 0
  # The clock is looked at before all, around the compiler and around the first step.
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
  plan = workload.training_run(tiny.config(), 'synthetic')
  times = measure._times(plan, timing.CompiledStep(plan), repeats=2)
  assert times == dict.fromkeys(TIMES, [1., 1.])  # one call, one second by this clock


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
  clock, asked = Clock(0.), []
  monkeypatch.setattr(timing, 'time', clock)
  step = object.__new__(timing.CompiledStep)
  step.per_dispatch, step.state, step.key, step._asked = 4, None, None, 0
  feed = types.SimpleNamespace(inputs=lambda first, n: asked.append((first, n)))
  step._run = types.SimpleNamespace(feed=feed)

  def dispatch(state, key, inputs):
    clock.now += 2.
    return state, {'loss': 1.}

  step._dispatch = dispatch
  assert step.repeat(3) == 2 / 4
  assert asked == [(0, 4), (4, 4), (8, 4)]
  assert step.repeat(2, {'image': 0}) == 2 / 4 and len(asked) == 3


@pytest.mark.parametrize('seconds, calls', [
    (0.25, 4), (0.3, 4), (2., 1), (1e-6, 100), (0., 100)])
def test_calls_per_sample(seconds, calls):
  assert timing.calls_per_sample(seconds) == calls


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


def test_a_loss_that_is_not_finite_is_no_speed():
  config = tiny.config(online_probe=False)
  config['optim']['learning_rate'] = 1e38
  step = timing.CompiledStep(workload.training_run(config, 'synthetic'))
  with pytest.raises(errors.UserError, match='loss is nan'):
    step.repeat(4)


def test_the_objective_alone_has_the_value_of_the_whole(key):
  run = workload.training_run(tiny.config(), 'synthetic')

  @jax.jit
  def both(batch):
    variables = run.method.init(key, run.feed.image_shape)
    args = variables.params, variables, run.method.views(key, batch)
    loss, aux = run.method.loss(*args, batch['label'])
    passes = [{'projection': aux.endpoints['projection']}]
    again, _ = forward.replaced(run.method, passes).loss(*args, batch['label'])
    return loss, again

  loss, again = both(run.feed.batch_at(0))
  np.testing.assert_allclose(again, loss, rtol=1e-6)


def test_the_objective_alone_tells_the_online_from_the_target_network(key):
  run = workload.training_run(tiny.config('byol', online_probe=False), 'synthetic')

  @jax.jit
  def both(batch):
    variables = run.method.init(key, run.feed.image_shape)
    variables = variables.replace(non_trainable=jax.tree.map(
        lambda x: x + 0.1, variables.non_trainable))
    args = variables.params, variables, run.method.views(key, batch)
    passes = []
    loss, _ = forward.recorded(run.method, passes).loss(*args, batch['label'])
    again, _ = forward.replaced(run.method, passes).loss(*args, batch['label'])
    same, _ = forward.replaced(run.method, passes[:1] * 2).loss(*args, batch['label'])
    return loss, again, same

  loss, again, same = both(run.feed.batch_at(0))
  np.testing.assert_allclose(again, loss, rtol=1e-6)
  assert abs(same - loss) > 1e-3


def test_noise_has_the_shape_of_the_data_and_is_not_zero():
  noise = workload.random_images({'name': 'imagenet2012', 'image_size': 64})
  assert len(noise) == 1_281_167 and noise.num_classes == 1000
  images, labels, ok, _ = noise.read(np.array([0, 7, 1_281_166]))
  assert images.shape == (3, 64, 64, 3) and images.dtype == np.uint8 and ok.all()
  assert images.std() > 70 and list(labels[:2]) == [0, 7]  # of uniform bytes: 73.9


def test_the_size_of_images_must_be_known():
  with pytest.raises(errors.UserError, match='config.data.image_size is missing'):
    workload.random_images({'name': 'folder:/photos'})


@pytest.mark.parametrize('name, sentence', [
    ('v5e', 'give one of v4, v5e'), ('v9:2x2', 'v9:2x2'), ('v5e:2', 'for example v4')])
def test_no_such_topology(name, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    ahead_of_time.describe(name)


def test_without_the_tpu_compiler_the_command_is_told(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r"pip install -e '\.\[tpu\]'"):
    ahead_of_time.describe('v5e:2x2')


@pytest.mark.skipif(importlib.util.find_spec('libtpu') is None,
                    reason="the TPU compiler is not here: pip install -e '.[tpu]'")
def test_compiles_for_a_slice_that_is_not_here():
  with pytest.raises(errors.UserError, match='does not know'):
    ahead_of_time.describe('v5e:3x3')
  result = ahead_of_time.run(tiny.config(online_probe=False), 'v5e:2x2')
  json.dumps(result)
  assert result['chips'] == 4 and result['images_per_chip'] == 4
  assert config_lib.plain(result['config'])['train']['precision'] == 'bfloat16'
  memory = result['memory_bytes']
  assert 0 < memory['temporary'] < memory['in all'] < memory['of the chip'] == 16e9
  assert result['flops'] > 0 and result['bytes_accessed'] > 0
  sent = {op: [c for c in result['collectives'] if c['op'] == op]
          for op in ('all-reduce', 'all-gather')}
  assert sum(map(len, sent.values())) == len(result['collectives'])
  kernels = 9 * (3 * 4 + 2 * 4 * 4 + 4 * 8 + 8 * 8 + 8 * 16 + 16 * 16) + 16 * (16 + 8)
  assert max(c['bytes'] for c in sent['all-reduce']) >= 4 * kernels  # at once
  assert not any('bf16' in c['arrays'] for c in sent['all-reduce'])
  # Embeddings of 8 numbers, and a number for each.
  assert sum(c['count'] * c['bytes'] for c in sent['all-gather']) == 4 * 32 * (8 + 1)
  assert [s['chips'] for s in result['weak_scaling']] == [8, 64, 256]
  assert all(0 < s['efficiency'] < 1 for s in result['weak_scaling'])
  assert 'v5e:2x2' in tables.compiled(result)
  assert jax.default_backend() == 'cpu'
