"""Tests that a finished run is trained for longer, with its optimizer if asked for."""

import logging

import numpy as np
import pytest
import tiny

from ssl_jax import errors
from ssl_jax.jobs import pretrain
from ssl_jax.train import checkpoint, resume


def config(method='byol', **train):
  """Returns a config with a constant learning rate and momentum."""
  fields = tiny.config(method, **{'epochs': 1, **train})
  fields['optim'] |= {'schedule': 'constant', 'momentum': 0.9}
  return fields


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'a'
  fields = config()
  fields['augment']['size'] = 6
  pretrain.run(fields, folder)
  return folder


def extended(folder, before, change=lambda fields: None, **train):
  """Trains the network of the run `before` at 8 pixels instead of 6."""
  fields = config(epochs=0, carry_optimizer=True)
  fields['train'] |= train
  fields['seed'] = 7
  fields['model']['init_from'] = str(before)
  change(fields)
  pretrain.run(fields, folder)
  return state(folder)


def state(folder):
  folder = folder / 'checkpoints'
  return resume.by_path(
      checkpoint.read_arrays(folder, checkpoint.newest_step(folder), 'state'))


def differing(a, b):
  assert a.keys() == b.keys()
  return {name for name in a if not np.array_equal(a[name], b[name])}


def counters(names):
  return {name for name in names if name.rpartition('/')[2] in ('step', 'count')}


def test_the_whole_state_is_that_of_the_run_at_another_size_of_the_views(
    run, tmp_path, caplog):
  before = state(run)
  with caplog.at_level(logging.INFO):
    after = extended(tmp_path / 'b', run)
  target = 'variables/non_trainable/params/encoder/stem/conv1/kernel'
  assert not np.array_equal(before[target], before[target.replace(
      'non_trainable/params', 'params')])
  reset = differing(before, after)
  assert reset == {name for name in counters(before) if name == 'step'
                   or name.startswith('opt_state')} and len(reset) == 2
  assert all(before[name] == 5 and after[name] == 0 for name in reset)
  assert any(np.any(after[name]) for name in after if '/trace/' in name)
  assert 'The target network, or the queue, is that of' in caplog.text
  assert 'the online probe does too' in caplog.text
  assert 'set another seed' not in caplog.text


def test_without_the_optimizer_only_the_variables_are_those_of_the_run(run, tmp_path):
  before, after = state(run), extended(tmp_path / 'b', run, carry_optimizer=False)
  assert not {n for n in differing(before, after) if n.startswith('variables/')}
  assert not any(np.any(after[n]) for n in after if n.startswith(('opt_st', 'probe')))


def test_two_trainings_in_a_row_equal_one_of_their_length(tmp_path):
  """All images are one batch and no view is random, so that any order is the same."""
  def fields(epochs):
    made = config('supervised', epochs=epochs)
    made['data']['num_examples'] = 16
    made['augment'] = {'recipe': 'none'}
    return made

  def trained(name, epochs, before=None, carry=True):
    made = fields(epochs)
    if before:
      made['model']['init_from'] = str(tmp_path / before)
      made['train']['carry_optimizer'] = carry
      made['seed'] = 3
    pretrain.run(made, tmp_path / name)
    return state(tmp_path / name)

  whole = trained('whole', 5)
  trained('part', 2)
  parts, cold = trained('rest', 3, 'part'), trained('cold', 3, 'part', carry=False)
  of = lambda tree: {n: x for n, x in tree.items() if n.startswith('variables/params')}
  for name, x in of(whole).items():
    np.testing.assert_allclose(parts[name], x, rtol=1e-4, atol=1e-6, err_msg=name)
  far = max(abs(cold[name] - x).max() for name, x in of(whole).items())
  assert far > 1e-3


def test_the_schedule_is_new_and_the_bias_correction_of_adam_is_not(tmp_path, caplog):
  def adam(fields):
    fields['optim'] = {'name': 'adam', 'learning_rate': 1e-3, 'schedule': 'cosine'}
    fields['method'] = {'name': 'simclr'}
    fields['seed'] = 0
  first = config()
  adam(first)
  pretrain.run(first, tmp_path / 'a')
  with caplog.at_level(logging.WARNING):
    after = extended(tmp_path / 'b', tmp_path / 'a', adam)
  before = state(tmp_path / 'a')
  counts = [n for n in counters(before) if n.startswith('opt_state')]
  assert [int(before[n]) for n in counts] == [5, 5]
  assert sorted(int(after[n]) for n in counts) == [0, 5]
  assert 'set another seed, such as --config.seed=1' in caplog.text


def test_what_does_not_fit_is_one_sentence(run, tmp_path, caplog):
  def other_optimizer(fields):
    fields['optim']['name'] = 'lars'
  with pytest.raises(errors.UserError, match='set --config.optim.name=sgd or --config'):
    extended(tmp_path / 'b', run, other_optimizer)

  def other_projector(fields):
    fields['projector']['dim'] = 4
  with pytest.raises(errors.UserError, match='optimizer state of .*'
                     r'float32 \(8,\) in the .*; set config.optim and the network as'):
    extended(tmp_path / 'b', run, other_projector)
  with caplog.at_level(logging.INFO):
    extended(tmp_path / 'c', run, other_projector, carry_optimizer=False)
  assert 'The target network starts as a copy' in caplog.text

  def a_file(fields):
    fields['model']['init_from'] = 'a.safetensors'
  with pytest.raises(errors.UserError, match="is 'a.safetensors', which has no optim"):
    extended(tmp_path / 'd', run, a_file)
