"""Tests that checkpoints of an earlier version can be loaded and resumed.

fixtures/checkpoint_6d4c1cd was made at that commit: a SimCLR ResNet-8 of a quarter
width, saved at step 2 of 4, and a classifier fine-tuned from it from stage2 upwards,
saved at step 1 of 2; eight devices. features.npz holds what that commit computed: the
features of eight images by the saved encoders and by those at the end of the runs,
the logits, and the losses of all steps.
"""

import json
import pathlib
import tarfile

import numpy as np
import pytest

from ssl_jax import jsonl
from ssl_jax.jobs import finetune, pretrain
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import encoder

FOLDER = pathlib.Path(__file__).parent / 'fixtures' / 'checkpoint_6d4c1cd'


@pytest.fixture
def runs(tmp_path):
  with tarfile.open(FOLDER / 'runs.tar.xz') as archive:
    archive.extractall(tmp_path, filter='data')
  return tmp_path


@pytest.fixture
def expected():
  with np.load(FOLDER / 'features.npz') as saved:
    return dict(saved)


def endpoints(folder):
  """Returns the endpoints of eight fixed images."""
  images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
  trained = encoder.load(folder, mesh_lib.data_mesh())
  return trained.method.encode(trained.variables, {'image': images})


def test_encoders_give_the_same_features(runs, expected):
  for name in ('simclr', 'finetuned'):
    found = endpoints(runs / name)
    np.testing.assert_allclose(found['pooled'], expected[name], rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(found['logits'], expected['finetuned_logits'], rtol=1e-4,
                             atol=1e-6)


@pytest.mark.parametrize('name, steps', [('simclr', 4), ('finetuned', 2)])
def test_training_resumes(name, steps, runs, expected):
  folder = runs / name
  (folder / 'result.json').unlink()  # as of a run that was stopped
  config = json.loads((folder / 'config.json').read_text())
  if name == 'simclr':
    pretrain.run(config, folder)
  else:
    finetune.run(config, runs / 'simclr', folder)
  rows = jsonl.read(folder / 'metrics.jsonl')
  losses = [row['train/loss'] for row in rows]
  np.testing.assert_allclose(losses, expected[f'{name}_losses'][-len(losses):],
                             rtol=1e-4)
  assert [row['step'] for row in rows] == list(range(steps // 2 + 1, steps + 1))
  np.testing.assert_allclose(endpoints(folder)['pooled'], expected[f'{name}_end'],
                             rtol=1e-3, atol=1e-5)
