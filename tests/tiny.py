"""Makes small but complete runs: ResNet-8 of a quarter width, images of 8 px."""

import pathlib
from typing import Any

import jax

from ssl_jax import methods
from ssl_jax.data import datasets
from ssl_jax.data import feed as feed_lib
from ssl_jax.jobs import pretrain
from ssl_jax.parallel import mesh as mesh_lib
from ssl_jax.train import optim, step

MODEL = {'name': 'resnet8', 'width': 0.25}
DATA = {'name': 'synthetic', 'image_size': 8, 'num_examples': 80, 'num_classes': 4}


def config(method: str = 'simclr', **train: Any) -> dict[str, Any]:
  """Returns a pre-training config: 80 images, 5 steps per epoch."""
  return {
      'seed': 0,
      'data': dict(DATA),
      'feed': {'batch_size': 16},
      'augment': {'recipe': 'crop_flip',
                  **({'views': {'large': {'count': 2}}} if method == 'swav' else {})},
      'method': {'name': method},
      'model': dict(MODEL),
      'projector': {'layers': 2, 'dim': 8},
      'optim': {'name': 'sgd', 'learning_rate': 0.05,
                'learning_rate_scaling': 'none', 'schedule': 'cosine'},
      'train': {'epochs': 2, **train},
      'log': {'every_steps': 1, 'checkpoint_every_epochs': 1, 'tensorboard': False},
  }


def parts(fields: dict[str, Any], devices: int = 1):
  """Returns the method, optimizer, feed and mesh of a config on the first devices."""
  mesh = mesh_lib.data_mesh(jax.devices()[:devices])
  source = datasets.load(split='train', validation_fraction=0, **fields['data'])
  feed = feed_lib.make_feed(source, feed_lib.FeedConfig(**fields['feed']), seed=0,
                            mesh=mesh)
  method = methods.build(fields, source.num_classes)
  tx, _ = optim.build(optim.Optim(**fields['optim']), batch_size=16,
                      num_examples=len(source), total_steps=10)
  return method, tx, feed, mesh


def train(fields: dict[str, Any], devices: int = 1, steps: int = 3, probe=None,
          steps_per_dispatch: int = 1):
  """Trains a few steps; returns the final state and the metrics of every dispatch."""
  method, tx, feed, mesh = parts(fields, devices)
  rep = mesh_lib.replicated(mesh)
  one = step.TrainStep(method, tx, probe, total_steps=10)
  state = jax.jit(lambda key: one.init(key, feed.image_shape),
                  out_shardings=rep)(jax.random.key(1))
  dispatch = step.make_dispatch(one, feed.select, mesh, state)
  key, rows = jax.device_put(jax.random.key(2), rep), []
  for i in range(0, steps, steps_per_dispatch):
    state, row = dispatch(state, key, feed.inputs(i, steps_per_dispatch),
                          steps_per_dispatch)
    rows.append(jax.device_get(row))
  return state, rows, dispatch


def pretrained(folder: pathlib.Path, **fields: Any) -> pathlib.Path:
  """Makes a finished run of a few steps."""
  pretrain.run({**config(epochs=1), **fields}, folder)
  return folder
