"""Tests that the loop resumes bit-exactly, stops on signals and saves good states."""

import os
import shutil
import signal

import jax
import numpy as np
import pytest
import stub_encoder
import tiny
from jax.experimental.layout import Format, Layout
from PIL import Image

from ssl_jax import errors, jsonl
from ssl_jax.jobs import monitor, pretrain
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import checkpoint, loop, reporter, step, training


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def config(**train):
  return {**tiny.config(**train), 'model': {'name': 'stub'}}


def final_arrays(workdir):
  """Returns the step and all arrays of the state of the newest checkpoint."""
  steps = sorted(int(p.name) for p in (workdir / 'checkpoints').iterdir())
  manager = checkpoint.ocp.CheckpointManager(workdir / 'checkpoints')
  state = manager.restore(steps[-1], args=checkpoint.ocp.args.Composite(
      state=checkpoint.ocp.args.StandardRestore()))['state']
  return steps[-1], jax.tree.leaves(jax.tree.map(np.asarray, state))


def rows_without_time(workdir):
  timed = ('time', 'images_per_second')
  return [{k: v for k, v in row.items() if k not in timed}
          for row in jsonl.read(workdir / 'metrics.jsonl')]


class SignalAt:
  """An online kNN that sends this process a signal at one of its calls."""

  def __init__(self, after, number=signal.SIGTERM):
    self.calls, self.after, self.number = 0, after, number

  def __call__(self, encoder):
    self.calls += 1
    if self.calls == self.after:
      os.kill(os.getpid(), self.number)
    return {'knn/top1': 0.5}


def test_sigterm_saves_and_the_resumed_run_is_bit_identical(tmp_path, monkeypatch):
  fields = config(knn_every_epochs=0.4)  # every second of ten steps
  monkeypatch.setattr(monitor, 'build_online_knn', lambda *a: SignalAt(after=0))
  pretrain.run(fields, tmp_path / 'undisturbed')

  interrupted = SignalAt(after=2)
  monkeypatch.setattr(monitor, 'build_online_knn', lambda *a: interrupted)
  with pytest.raises(errors.Preempted, match='step 5 is saved'):
    pretrain.run(fields, tmp_path / 'killed')
  # As after a kill -9: lines after the checkpoint, and an incomplete one.
  with (tmp_path / 'killed' / 'metrics.jsonl').open('a') as f:
    f.write('{"step": 7, "time": 1, "train/loss": 99}\n{"step": 8, "ti')
  pretrain.run(fields, tmp_path / 'killed')

  (step, a), (_, b) = (final_arrays(tmp_path / d) for d in ('undisturbed', 'killed'))
  assert step == 10
  for x, y in zip(a, b, strict=True):
    np.testing.assert_array_equal(x, y)
  assert rows_without_time(tmp_path / 'killed') == rows_without_time(
      tmp_path / 'undisturbed')


def test_a_state_kept_with_outputs_first_trains_and_resumes_the_same(
    tmp_path, monkeypatch):
  """Gives kernels on the CPU the layout in memory that they have on GPUs."""
  fields = {**tiny.config(knn_every_epochs=0.4), 'model': dict(tiny.MODEL)}
  pretrain.run(fields, tmp_path / 'default')
  layouts, one_dispatch = [], step.make_dispatch

  def outputs_first(tree, mesh):
    whole = mesh_lib.replicated(mesh)
    first = Format(Layout((3, 0, 1, 2)), whole)
    return jax.tree.map(lambda x: first if x.ndim == 4 else whole, tree)

  def recording(*args):
    dispatch = one_dispatch(*args)
    def call(state, *rest):
      state, metrics = dispatch(state, *rest)
      layouts.append({x.format.layout.major_to_minor
                      for x in jax.tree.leaves(state) if x.ndim == 4})
      return state, metrics
    return call

  monkeypatch.setattr(mesh_lib, 'stored', outputs_first)
  monkeypatch.setattr(step, 'make_dispatch', recording)
  with monkeypatch.context() as patch, pytest.raises(errors.Preempted):
    patch.setattr(monitor, 'build_online_knn', lambda *a: SignalAt(after=2))
    pretrain.run(fields, tmp_path / 'first')
  assert pretrain.run(fields, tmp_path / 'first')['steps'] == 10
  assert layouts == [{(3, 0, 1, 2)}] * 10
  for a, b in zip(final_arrays(tmp_path / 'default')[1],
                  final_arrays(tmp_path / 'first')[1], strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.fixture
def heard_outside():
  """Yields a list of the signals that a handler outside the training receives."""
  heard = []
  previous = {number: signal.signal(number, lambda n, frame: heard.append(n))
              for number in (signal.SIGTERM, signal.SIGINT)}
  yield heard
  for number, handler in previous.items():
    signal.signal(number, handler)


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT'])
def test_signals_are_noted_until_the_state_is_written(
    tmp_path, monkeypatch, heard_outside, name):
  number, leave = getattr(signal, name), checkpoint.Checkpoints.__exit__
  monkeypatch.setattr(monitor, 'build_online_knn', lambda *a: SignalAt(1, number))

  def leave_in_spite_of_another(self, *args):
    os.kill(os.getpid(), signal.SIGTERM)
    leave(self, *args)
    os.kill(os.getpid(), signal.SIGTERM)
  monkeypatch.setattr(checkpoint.Checkpoints, '__exit__', leave_in_spite_of_another)
  named = {'SIGTERM': 'SIGTERM', 'SIGINT': 'Ctrl-C'}[name]
  with pytest.raises(errors.Preempted, match=f'stopped by {named}; step 3 is saved'):
    pretrain.run(config(knn_every_epochs=0.4), tmp_path)
  assert not heard_outside
  assert final_arrays(tmp_path)[0] == 3


def test_a_signal_at_the_last_step_is_not_lost(tmp_path, monkeypatch):
  fields = config(epochs=1, knn_every_epochs=1)
  monkeypatch.setattr(monitor, 'build_online_knn', lambda *a: SignalAt(after=1))
  with pytest.raises(errors.Preempted, match='step 5 is saved'):
    pretrain.run(fields, tmp_path)
  assert not (tmp_path / 'result.json').exists()
  assert pretrain.run(fields, tmp_path)['steps'] == 5


def test_a_mistake_leaves_the_workdir_to_the_corrected_command(tmp_path):
  good = config(epochs=1)
  for section, wrong, sentence in (
      ('data', {'name': 'folder:/no/such', 'image_size': 8}, 'does not exist'),
      ('feed', {'batch_size': 500}, 'batch_size is 500'),
      ('optim', {**good['optim'], 'warmup_epochs': 9}, 'warmup_epochs is 9'),
      ('method', {'name': 'simclr', 'temperature': 0}, 'temperature is 0')):
    with pytest.raises(errors.UserError, match=sentence):
      pretrain.run({**good, section: wrong}, tmp_path / 'run')
    assert not list((tmp_path / 'run').iterdir())
  pretrain.run(good, tmp_path / 'run')
  with pytest.raises(errors.UserError, match='seed: 0 -> 1'):
    pretrain.run({**good, 'seed': 1}, tmp_path / 'run')


def test_a_loss_that_is_never_finite_leaves_nothing(tmp_path, monkeypatch):
  train_step = loop.step_lib.TrainStep.__call__

  def not_finite(*args):
    state, metrics = train_step(*args)
    return state, metrics | {'loss': metrics['loss'] * np.nan}
  with monkeypatch.context() as patch:
    patch.setattr(loop.step_lib.TrainStep, '__call__', not_finite)
    with pytest.raises(errors.Diverged, match='no checkpoint has been saved yet'):
      pretrain.run(config(epochs=1), tmp_path / 'run')
  assert not list((tmp_path / 'run').iterdir())


def images(folder, first, last):
  for name in 'ab':
    (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(first, last):
      Image.new('RGB', (8, 8), (i, 9 * i % 256, 0)).save(folder / name / f'{i}.png')


def test_data_that_changed_end_a_resume(tmp_path, monkeypatch):
  images(tmp_path / 'data', 0, 25)
  fields = {**config(knn_every_epochs=0.5),
            'data': {'name': f'folder:{tmp_path}/data', 'image_size': 8}}
  monkeypatch.setattr(monitor, 'build_online_knn', lambda *a: SignalAt(after=1))
  with pytest.raises(errors.Preempted):
    pretrain.run(fields, tmp_path / 'run')
  images(tmp_path / 'data', 25, 50)
  with pytest.raises(errors.UserError, match='had 40 images, now there are 80; put'):
    pretrain.run(fields, tmp_path / 'run')
  shutil.rmtree(tmp_path / 'data')
  images(tmp_path / 'data', 0, 25)
  monkeypatch.setattr(monitor, 'build_online_knn', lambda *a: SignalAt(after=0))
  assert pretrain.run(fields, tmp_path / 'run')['steps'] == 4


def test_nothing_is_compiled_after_the_first_online_knn(tmp_path, monkeypatch):
  """Uses several steps per dispatch, also across the ends of epochs."""
  compiled, seen, write = [], [], reporter.Reporter.write_evaluation

  def listen(event, seconds, **unused):
    if event == '/jax/core/compile/backend_compile_duration':
      compiled.append(seconds)

  def count(reporter, *args):
    write(reporter, *args)
    seen.append(len(compiled))
  monkeypatch.setattr(reporter.Reporter, 'write_evaluation', count)
  monkeypatch.setattr(training, 'STEPS_PER_DISPATCH', {'cpu': 4})
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    result = pretrain.run(config(epochs=3.6, knn_every_epochs=0.8), tmp_path)
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  assert result['steps'] == 18  # in threes
  assert len(seen) == 4 and seen[0] > 0 and len(compiled) == seen[0]


def test_a_finished_run_is_not_run_again(tmp_path):
  fields = config(epochs=1)
  result = pretrain.run(fields, tmp_path)
  stamp = (tmp_path / 'metrics.jsonl').stat().st_mtime_ns
  assert pretrain.run(fields, tmp_path) == result
  assert (tmp_path / 'metrics.jsonl').stat().st_mtime_ns == stamp


def test_another_config_in_the_same_workdir_is_refused(tmp_path):
  pretrain.run(config(epochs=1), tmp_path)
  changed = config(epochs=1)
  changed['log']['every_steps'] = 3  # free to change
  pretrain.run(changed, tmp_path)
  changed['optim']['learning_rate'] = 0.1
  with pytest.raises(errors.UserError, match='optim.learning_rate: 0.05 -> 0.1'):
    pretrain.run(changed, tmp_path)


def test_zero_epochs_keep_a_random_encoder(tmp_path):
  fields = config(epochs=0)
  assert pretrain.run(fields, tmp_path)['steps'] == 0
  assert checkpoint.read_config(tmp_path / 'checkpoints')[0] == 0


def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
  fields = config(epochs=3)
  pretrain_build = pretrain.optim.build

  def explode_in_the_second_epoch(*args, **kwargs):
    _, schedule = pretrain_build(*args, **kwargs)
    rate = lambda step: jax.numpy.where(step >= 7, 1e30, 0.05)
    return pretrain.optim.optax.sgd(rate), schedule

  monkeypatch.setattr(pretrain.optim, 'build', explode_in_the_second_epoch)
  with pytest.raises(errors.UserError, match='last good checkpoint is step 5'):
    pretrain.run(fields, tmp_path)
  _, arrays = final_arrays(tmp_path)
  assert all(np.isfinite(x).all() for x in arrays)
  assert not (tmp_path / 'result.json').exists()


def test_checkpoints_at_every_nth_epoch_are_kept(tmp_path):
  """An epoch has five steps; without `keep_every_epochs` 15 and 20 would remain."""
  fields = config(epochs=4)
  fields['log'] |= {'keep_every_epochs': 2, 'max_to_keep': 1}
  pretrain.run(fields, tmp_path)
  steps = {int(p.name) for p in (tmp_path / 'checkpoints').iterdir()}
  assert steps >= {10, 20} and 15 not in steps
