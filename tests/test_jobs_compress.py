"""Tests the compression of a trained encoder, and what can be done with it after."""

import json
import shutil

import jax
import numpy as np
import pytest
import stub_encoder
import tiny
import tiny_compression

from ssl_jax import errors
from ssl_jax.compression import kernels
from ssl_jax.jobs import compress, evaluate, finetune
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder as encoder_lib

OWN_HEAD = {'protocol': {'name': 'own_head'},
            'features': {'endpoint': 'logits', 'batch_size': 16}}
PATH = ('encoder', 'far', 'conv', 'kernel')  # the one that is pruned


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


@pytest.fixture(scope='module')
def runs(stub, tmp_path_factory):
  """A dense encoder in 'dense', compressed in 'small', fine-tuned in 'tuned'."""
  folder = tmp_path_factory.mktemp('runs')
  tiny.pretrained(folder / 'dense', model={'name': 'staged'})
  compress.run(tiny_compression.compress(), folder / 'dense', folder / 'small')
  finetune.run(tiny_compression.fine_tuning(), folder / 'small', folder / 'tuned')
  return folder


def load(path):
  return encoder_lib.load(path, mesh_lib.data_mesh())


def result(folder):
  return json.loads((folder / 'result.json').read_text())['result']


def test_training_goes_on_from_the_dense_encoder(runs):
  dense, small = load(runs / 'dense'), load(runs / 'small')
  assert small.step == 10 and small.config['data'] == dense.config['data']
  assert small.config['method'] == dense.config['method']
  # A learning rate of almost 0 leaves the weights of the dense encoder.
  config = tiny_compression.compress(sparsity=0., bits=8)
  config['optim'] = {**config['optim'], 'learning_rate': 1e-12}
  compress.run(config, runs / 'dense', runs / 'still')
  for path, w in kernels.find(load(runs / 'still').variables['params']).items():
    before = np.asarray(kernels.find(dense.variables['params'])[path])
    half = np.abs(before).max(tuple(range(before.ndim - 1))) / 127 / 2
    assert (np.abs(w - before) <= 1.01 * half + 1e-6).all()


def test_the_encoder_is_as_sparse_as_asked(runs):
  small = kernels.find(load(runs / 'small').variables['params'])
  assert (np.asarray(small[PATH]) == 0).sum() == 12
  packed = result(runs / 'small')['packed']
  assert packed['bytes'] == (runs / 'small' / 'network.packed').stat().st_size
  by_name = {layer['name']: layer for layer in packed['layers']}
  assert by_name['/'.join(PATH)]['nonzero'] == 4 and len(by_name) == len(small)


@pytest.mark.parametrize('name, unused', [('small', 'none'), ('tuned', 'projector')])
def test_the_file_and_the_checkpoint_hold_the_same_encoder(runs, name, unused):
  saved, packed = load(runs / name), load(runs / name / 'network.packed')
  assert saved.config == packed.config and saved.step == packed.step
  bits = lambda tree: {
      name: np.asarray(x).view(np.uint32)
      for path, x in jax.tree_util.tree_leaves_with_path(tree)
      if unused not in (name := jax.tree_util.keystr(path))}
  expected, found = bits(saved.variables), bits(packed.variables)
  assert expected.keys() == found.keys()
  for leaf, x in expected.items():
    np.testing.assert_array_equal(x, found[leaf], leaf)


def test_pruned_weights_stay_pruned_in_fine_tuning(runs):
  before = kernels.find(load(runs / 'small').variables['params'])[PATH]
  after = kernels.find(load(runs / 'tuned').variables['params'])[('network', *PATH)]
  np.testing.assert_array_equal(np.asarray(before) == 0, np.asarray(after) == 0)
  assert not np.array_equal(before, after)


def test_scores_of_the_file_are_those_of_the_training(runs):
  path = runs / 'tuned' / 'network.packed'
  workdir = evaluate.default_workdir(OWN_HEAD, path)
  assert workdir == runs / 'tuned' / 'network.packed.evaluations' / 'own_head'
  scored = evaluate.run(OWN_HEAD, path, workdir)
  assert scored['test'] == result(runs / 'tuned')['test']
  identity = encoder_lib.identify(path)
  assert identity['path'] == str(path) and identity['step'] == scored['step']


def test_a_file_can_be_fine_tuned_as_its_checkpoint(runs):
  config = tiny_compression.fine_tuning()
  finetune.run(config, runs / 'small' / 'network.packed', runs / 'from_file')
  for x, y in zip(jax.tree.leaves(load(runs / 'tuned').variables),
                  jax.tree.leaves(load(runs / 'from_file').variables), strict=True):
    np.testing.assert_array_equal(x, y)


def test_a_stopped_run_continues_from_its_checkpoint_bit_for_bit(runs):
  """In the copy only the checkpoint of step 5 of 10 is left, after the last update."""
  shutil.copytree(runs / 'small', runs / 'stopped')
  shutil.rmtree(runs / 'stopped' / 'checkpoints' / '10')
  for name in ('result.json', 'network.packed'):
    (runs / 'stopped' / name).unlink()
  assert load(runs / 'stopped').step == 5
  compress.run(tiny_compression.compress(), runs / 'dense', runs / 'stopped')
  assert ((runs / 'stopped' / 'network.packed').read_bytes()
          == (runs / 'small' / 'network.packed').read_bytes())


def test_other_preprocessing_of_a_compressed_encoder(runs):
  """The method is the one without compression: its weights are compressed already."""
  config = {**OWN_HEAD, 'preprocess': {'size': 8}}
  assert evaluate.run(config, runs / 'tuned', runs / 'resized')['test']['n'] == 20


@pytest.mark.parametrize('name, message', [
    ('tuned', r'holds a fine-tuned network; .*--config.compression.sparsity=0.75'),
    ('small', 'compressed already; give the --workdir of the run that trained it')])
def test_encoders_that_cannot_be_compressed(runs, tmp_path, name, message):
  with pytest.raises(errors.UserError, match=message):
    compress.run(tiny_compression.compress(), runs / name, tmp_path)


def test_frozen_layers_are_refused():
  config = {**tiny_compression.fine_tuning(), 'freeze_until': 'head'}
  with pytest.raises(errors.UserError, match="freeze_until is 'head'.*set it to None"):
    finetune.parse(config)


def test_a_target_network_starts_from_the_encoder(tmp_path):
  tiny.pretrained(tmp_path / 'byol', **{**tiny.config('byol'),
                                        'model': {'name': 'staged'}})
  done = compress.run(tiny_compression.compress(), tmp_path / 'byol', tmp_path / 'b')
  assert done['steps'] == 10 and 'times fewer than float32' in compress.show(done)
