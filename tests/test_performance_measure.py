"""A tiny run measured on the CPU; the same one compiled for TPUs."""

import functools
import importlib.util
import json
import math

import jax
import numpy as np
import pytest
import tiny

from ssl_jax import config as config_lib
from ssl_jax import errors
from ssl_jax.performance import (
  devices,
  forward,
  measure,
  tables,
  timing,
  topology,
  workload,
)
from ssl_jax.train import mesh as mesh_lib

PARTS = ['augmentation', 'forward', 'backward', 'loss', 'optimizer']


@pytest.fixture(autouse=True, scope='module')
def short_samples_on_one_device():
  patch, mesh = pytest.MonkeyPatch(), mesh_lib.data_mesh
  patch.setattr(timing, 'WINDOW', 0.05)
  patch.setattr(devices, 'measure_cpu', functools.partial(
      devices.measure_cpu, size=256, megabytes=1))
  patch.setattr(mesh_lib, 'data_mesh', lambda devices=jax.devices()[:1]: mesh(devices))
  yield
  patch.undo()


@pytest.fixture(scope='module')
def result():
  return measure.run(tiny.config(), 'synthetic', repeats=2)


def test_figures_agree_with_each_other(result):
  json.dumps(result)
  assert result['batch_size'] == 16 and result['views_per_image'] == 2
  step, images = result['step_seconds'], result['images_per_second']
  assert 0 < step['min'] <= step['median'] <= step['max'] < math.inf
  assert images['median'] == pytest.approx(16 / step['median'])
  assert images['min'] == pytest.approx(16 / step['max'])
  assert result['views_per_second']['median'] == pytest.approx(2 * images['median'])
  flops = result['device']['flops_per_second']
  assert result['mfu'] == pytest.approx(
      images['median'] * result['train_flops_per_image'] / flops)
  assert result['roofline_fraction'] == pytest.approx(
      images['median'] / result['roofline_images_per_second'])
  assert result['peak_memory_bytes'] > 0 and result['compile_seconds'] > 0
  assert result['first_step_seconds'] > result['compile_seconds']


def test_the_split_adds_up_to_the_step(result):
  parts = result['split_seconds']
  assert list(parts) == [*PARTS, 'other', 'input wait']
  assert all(parts[name]['median'] > 0 for name in PARTS)
  assert sum(p['median'] for p in parts.values()) == pytest.approx(
      result['step_seconds']['median'])


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
  step = timing.Step(workload.plan(config, 'synthetic'))
  with pytest.raises(errors.UserError, match='loss is nan'):
    step.repeat(4)


def test_the_objective_alone_has_the_value_of_the_whole(key):
  run = workload.plan(tiny.config(), 'synthetic')

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
  run = workload.plan(tiny.config('byol', online_probe=False), 'synthetic')

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
  noise = workload.noise({'name': 'imagenet2012', 'image_size': 64})
  assert len(noise) == 1_281_167 and noise.num_classes == 1000
  images, labels, ok, _ = noise.read(np.array([0, 7, 1_281_166]))
  assert images.shape == (3, 64, 64, 3) and images.dtype == np.uint8 and ok.all()
  assert images.std() > 70 and list(labels[:2]) == [0, 7]  # of uniform bytes: 73.9


def test_the_size_of_images_must_be_known():
  with pytest.raises(errors.UserError, match='config.data.image_size is missing'):
    workload.noise({'name': 'folder:/photos'})


@pytest.mark.parametrize('name, sentence', [
    ('v5e', 'give one of v4, v5e'), ('v9:2x2', 'v9:2x2'), ('v5e:2', 'for example v4')])
def test_no_such_topology(name, sentence):
  with pytest.raises(errors.UserError, match=sentence):
    topology.describe(name)


def test_without_the_tpu_compiler_the_command_is_told(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r"pip install -e '\.\[tpu\]'"):
    topology.describe('v5e:2x2')


@pytest.mark.skipif(importlib.util.find_spec('libtpu') is None,
                    reason="the TPU compiler is not here: pip install -e '.[tpu]'")
def test_compiles_for_a_slice_that_is_not_here():
  with pytest.raises(errors.UserError, match='does not know'):
    topology.describe('v5e:3x3')
  result = topology.run(tiny.config(online_probe=False), 'v5e:2x2')
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
