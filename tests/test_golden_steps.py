"""Tests the first step of several methods on fixed images, to 3 digits.

The numbers were computed by this library. They show that nothing between the pixels and
the gradient has changed by mistake or in a dependency: views, initial weights, network
and objective. The tests of each module show that the module is correct. After a change
on purpose, replace these numbers by those in the message of the failure.
"""

import jax
import numpy as np
import pytest
import stub_encoder
import tiny

from ssl_jax import methods
from ssl_jax.train import optim, step

SHAPE, CLASSES = (8, 8, 3), 4
STUB = {'name': 'stub'}  # one convolution: the network has its turn in two others
AUGMENT = {'recipe': 'simclr_v2', 'strength': 1.0, 'area': (0.2, 1.0)}
SMALL = {  # loss and norm of the gradient by method
    'barlow_twins': (15.34, 1286.),
    'byol': (3.580, 100.5),
    'moco_v2': (12.67, 129.6),
    'moco_v3': (2.083, 95.49),
    'nnclr': (2.276, 94.79),
    'simsiam': (-0.1051, 25.12),
    'supcon': (10.382, 300.2),
    'vicreg': (68.03, 3316.),
}


@pytest.fixture(scope='module', autouse=True)
def stub():
  with stub_encoder.registered():
    yield


def images():
  """Returns images uint8 [8, 8, 8, 3] of slanted waves, computed with integers only."""
  n, y, x, c = np.indices((8, *SHAPE))
  phase = 12 * (n + 1) * (y + 2 * x) + 80 * c + 46 * n
  return abs(phase % 510 - 255).astype(np.uint8)


def config(name, **fields):
  return {**tiny.config(name), 'augment': AUGMENT, **fields}


def fine_tuning(freeze_until):
  before = {**config('simclr'), 'dataset': {'class_names': ('a', 'b')}}
  return config('finetune', pretrained=before, head={'name': 'linear'},
                method={'name': 'finetune', 'freeze_until': freeze_until},
                features={'endpoint': 'pooled', 'pool': 'mean'})


@pytest.mark.parametrize('fields, loss, grad_norm', [
    pytest.param(config('simclr'), 2.6972, 49.945, id='simclr'),
    pytest.param(config('rotnet', model=STUB), 1.3867, 0.03169, id='rotnet'),
    pytest.param(config('supervised', model=STUB), 1.3872, 0.2507, id='supervised'),
    *(pytest.param(config(name, model=STUB), *numbers, id=name)
      for name, numbers in SMALL.items()),
    pytest.param(config('swav', model=STUB, augment={
        **AUGMENT, 'views': {'large': {'count': 2}}}), 13.013, 127.45, id='swav'),
    pytest.param(fine_tuning('stage3'), 1.3801, 0.50706, id='finetune')])
def test_first_step(fields, loss, grad_norm):
  method = methods.build(fields, CLASSES)
  tx, _ = optim.build(optim.Optim(**fields['optim']), batch_size=8, num_examples=8,
                      total_steps=2)
  batch = {'image': images(), 'label': np.arange(8, dtype=np.int32) % CLASSES}

  @jax.jit
  def first(init_key, key):
    train_step = step.TrainStep(method, tx, None, total_steps=10)
    return train_step(train_step.init(init_key, SHAPE), key, batch)[1]

  row = jax.device_get(first(jax.random.key(0), jax.random.key(1)))
  found = {name: float(row[name]) for name in ('loss', 'grad_norm')}
  assert found == pytest.approx({'loss': loss, 'grad_norm': grad_norm}, rel=1e-3)
