"""Tests the parts of the benchmarks that do not need PyTorch."""

import argparse
import dataclasses
import io
import json
import os
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # not an installed package

from benchmarks import gpu_program, host_decode, train_step  # noqa: E402
from benchmarks.harness import cases, compare, sweep, trace, worker  # noqa: E402
from benchmarks.peers import host_fed  # noqa: E402
from ssl_jax.jobs import pretrain  # noqa: E402
from ssl_jax.models import normalization  # noqa: E402
from ssl_jax.performance import workload  # noqa: E402


class Served:
  """Defines methods that the tests call in another process."""

  def __init__(self, word='yes'):
    self._word = word

  def answer(self, times):
    print('not an answer')
    return {'words': self._word * times, 'pid': os.getpid()}

  def fail(self):
    raise ValueError('no\nsuch thing')

  def leave(self):
    print('last words', file=sys.stderr)
    sys.stderr.flush()
    os._exit(3)

  def hang(self):
    while True:
      pass


@pytest.fixture
def served():
  path = str(pathlib.Path(__file__).parent)
  with worker.Worker('test_benchmarks:Served', {'PYTHONPATH': path}, word='ho') as w:
    yield w


def test_a_worker_answers_from_its_own_process_whatever_it_prints(served):
  answer = served.call('answer', times=2)
  assert answer['words'] == 'hoho' and answer['pid'] != os.getpid()


def test_a_worker_that_fails_gives_the_reason_and_continues(served):
  with pytest.raises(worker.Failed, match='ValueError: no such thing'):
    served.call('fail')
  assert served.call('answer', times=1)['words'] == 'ho'
  with pytest.raises(worker.Failed, match='ended with status 3: last words'):
    served.call('leave')
  with pytest.raises(worker.Failed, match='ended with status 3'):
    served.call('answer', times=1)


def test_a_worker_that_hangs_is_ended(served):
  served.limit = 0.4
  with pytest.raises(worker.Failed, match='took more than 0 s'):
    served.call('hang')


class Clock:
  """Replaces a worker; its steps take the given seconds, one after the other."""

  def __init__(self, log, seconds):
    self._log, self._seconds = log, iter(seconds)

  def call(self, method, steps):
    assert method == 'run'
    seconds = next(self._seconds)
    self._log.append((self, steps))
    return seconds


def test_rounds_alternate_and_ratios_are_of_a_round():
  log = []
  ours = Clock(log, [9, 0.25, 1, 2, 4])    # two to warm up
  peer = Clock(log, [9, 0.5, 3, 2, 2])
  result = compare.alternate(ours, peer, rounds=3)
  assert result['ratios'] == [3, 1, 0.5]
  assert result['ratio'] == {'median': 1, 'min': 0.5, 'max': 3}
  assert result['ours_seconds']['median'] == 2
  assert [program for program, _ in log[4:]] == [ours, peer, peer, ours, ours, peer]
  assert {steps for program, steps in log[4:] if program is ours} == {4}
  assert {steps for program, steps in log[4:] if program is peer} == {2}


def test_a_busy_machine_gives_a_warning():
  assert compare.busy({'load': 0.3, 'cores': 2}) == ''
  assert 'load average is 1.4 on 2 cores' in compare.busy({'load': 1.4, 'cores': 2})


@pytest.mark.parametrize('name', cases.CASES)
def test_cases_are_configs_that_training_takes(name):
  config = cases.config(name, 16, train={'grad_cache_chunks': 2})
  pretrain.parse(config)
  assert config['train']['grad_cache_chunks'] == 2 and config['train']['epochs'] > 0
  assert not config['train']['online_probe']
  side = config['data'].get('image_size') or 32
  assert 16 <= config['data']['num_examples'] <= 2**31 / (3 * side**2)
  assert config['model'] == cases.config(name)['model']
  json.dumps(config)


def test_variants_and_their_names():
  variants = train_step.torch_variants(('eager', 'default'))
  assert [train_step.label(v) for v in variants][1:3] == [
      'torch_step compile=eager layout=channels_last',
      'torch_step compile=default layout=nchw']
  host_fed, = train_step.by_host_variants('host_fed', [2])
  assert train_step.label(host_fed) == 'host_fed workers=2'


def test_a_step_fed_by_the_host_gets_two_fresh_views_of_every_image():
  config = cases.config('resnet20', images=8)
  run = workload.training_run(config, 'synthetic')
  feed = host_fed.Feed(run.feed, config['augment'], run.mesh, workers=0)
  first, second = (np.asarray(feed.inputs(i)['image']) for i in (0, 1))
  assert first.shape == (8, 2, 32, 32, 3) and first.dtype == np.uint8
  assert len(np.unique(np.concatenate([first, second]).reshape(32, -1), axis=0)) == 32
  method = host_fed.GivenViews(**{f.name: getattr(run.method, f.name)
                                  for f in dataclasses.fields(run.method)})
  views = method.views(None, {'image': first})
  np.testing.assert_allclose(views[5], first[2, 1] / 255, rtol=1e-6)


def test_a_sweep_keeps_results_and_begins_nothing_late(tmp_path, capsys):
  results = sweep.Sweep(
      argparse.Namespace(output=tmp_path, dry_run=False, seconds=1000), 'g')
  def fail():
    raise worker.Failed('out of memory')
  assert results.record('a', lambda: {'teraflops': 2.0}) == {'teraflops': 2.0}
  assert results.record('b', fail) is None
  assert results.record('c', lambda: {'teraflops': 1 / 0}, least=2000) is None
  written = json.loads((tmp_path / 'g.json').read_text())['rows']
  assert written['a'] == {'teraflops': 2.0} and written['b'] == {
      'error': 'out of memory'}
  assert list(written['c']) == ['skipped']
  assert 'teraflops 2' in capsys.readouterr().out


def test_a_trace_is_summed_by_kernel(tmp_path):
  x = jnp.ones((200, 200))
  function = jax.jit(lambda x: jnp.sort(x @ x, axis=0))
  function(x).block_until_ready()
  with jax.profiler.trace(str(tmp_path)):
    for _ in range(3):
      function(x).block_until_ready()
  found = trace.kernels(trace.newest(tmp_path))
  assert found['busy_seconds'] > 0 and found['idle_seconds'] >= 0
  assert sum(k['seconds'] for k in found['kernels']) > 0
  assert {3} <= {k['count'] for k in found['kernels']}
  assert trace.covered([(0, 4e9), (1e9, 2e9), (3e9, 5e9), (7e9, 8e9)]) == (6, 8)


def test_drawn_photos_have_about_the_bytes_of_ilsvrc():
  out = io.BytesIO()
  host_decode.photo((500, 375), np.random.default_rng(0)).save(out, 'JPEG', quality=90)
  assert 70e3 < len(out.getvalue()) < 140e3
  assert sum(share for *_, share in host_decode.SHAPES) == pytest.approx(1)


def test_cores_that_feed_a_host(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(host_decode, 'BATCH', 8)
  monkeypatch.setattr(host_decode, 'SHAPES', ((20, 15, 1.),))
  monkeypatch.setattr(host_decode, 'wanted', lambda: {'H200': 6000.})
  monkeypatch.setattr(sys, 'argv', [
      'host_decode', '--count=16', '--repeats=2', '--steps=2', '--sides', '16',
      '--threads', '1', f'--output={tmp_path / "out.json"}'])
  host_decode.main()
  result = json.loads((tmp_path / 'out.json').read_text())
  assert [r['case'] for r in result['rates']] == ['canvas of 16', 'square of 256']
  assert result['files']['count'] == 16
  printed = capsys.readouterr().out
  for row in result['rates']:
    needed = result['cores']['H200']['cores'][row['case']]
    assert needed * row['per_cpu_second']['median'] == pytest.approx(6000)
    assert f'{needed:.0f} ({row["case"]})' in printed


@pytest.mark.parametrize('measure', gpu_program.MEASURES)
def test_a_measure_is_taken_out_and_put_back(measure):
  present = lambda: [getattr(module, name)
                     for module, name, _ in gpu_program.MEASURES[measure]]
  before = present()
  with gpu_program.without(measure):
    assert present() == [value for _, _, value in gpu_program.MEASURES[measure]]
    assert present() != before
  assert present() == before


def test_batch_norm_by_autodiff_is_ours(key):
  x, weights = jax.random.normal(key, (2, 16, 4, 4, 3), jnp.bfloat16)
  scale, bias = jnp.array([.5, 1., 2.]), jnp.zeros(3)

  def run(function):
    def loss(x, scale, bias):
      y, *moments = function(x, scale, bias, (0, 1, 2), jnp.float32)
      return (y * weights).sum(), (y, moments)
    return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(x, scale, bias)

  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a.astype(jnp.float32), b.astype(jnp.float32), rtol=0.02, atol=0.02),
      run(gpu_program.normalize_by_autodiff), run(normalization.normalize_by_moments))
