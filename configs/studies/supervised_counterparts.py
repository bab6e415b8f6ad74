"""Compares SimCLR and RotNet with their supervised counterparts.

    python -m ssl_jax.study --config=configs/studies/supervised_counterparts.py \\
        --workdir=runs/supervised_counterparts
    python -m ssl_jax.study --config=configs/studies/supervised_counterparts.py:best \\
        --workdir=runs/supervised_counterparts_best

The study follows a poster comparing SimCLR and RotNet with their supervised
counterparts on CIFAR-10, authors not stated. Its figures in % are: linear SimCLR 54.16
(ResNet-18), linear RotNet 63.47 (two of four NIN blocks), the same networks supervised
80.28 and 82.83, and rotation accuracy 81.13.

`published` has the settings of the poster: 200 epochs with Adam at 3e-4, and 90 epochs
of RotNet with the boundaries of its paper. The poster does not state batch 256,
temperature 0.07, full colour distortion and blur; they are those of sthalles/SimCLR,
whose code has the stated settings.

`best` has configs/simclr_cifar10.py (1000 epochs, published with "around 91 %") and
configs/rotnet_cifar10.py (200 epochs, 91.16 % by a convolutional classifier on block
2). Both supervised networks then train for 200 epochs.

Hardware: one GPU. The time has not been measured. Use --scale=0.01 on a CPU.
"""

from ml_collections import ConfigDict

from configs import (
    evaluate,
    linear_probe,
    pictures,
    rotnet_cifar10,
    simclr_cifar10,
    supervised_cifar10,
)
from configs.studies import building_blocks as blocks

PRESETS = ('published', 'best')
PUBLISHED = {
    ('simclr', 'linear'): 54.16,
    ('rotnet', 'linear_block2'): 63.47,
    ('supervised_resnet18', 'own_head'): 80.28,
    ('supervised_nin', 'own_head'): 82.83,
    ('rotnet', 'rotation'): 81.13,
}


def get_config(preset: str = 'published') -> ConfigDict:
  c = ConfigDict()
  c.name = f'supervised_counterparts_{preset}'
  c.title = 'SimCLR and RotNet against their supervised counterparts'
  c.description = (
      'ResNet-18 by SimCLR and NIN by RotNet, frozen below classifiers that see all '
      'labels. They are compared with the same two networks trained with all labels.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  c.methods = ConfigDict(dict(
      simclr=_simclr(preset), rotnet=_rotnet(preset),
      supervised_resnet18=supervised_cifar10.get_config('resnet18'),
      supervised_nin=_supervised_nin(preset)), sort_keys=False)
  supervised = 'supervised_resnet18', 'supervised_nin'
  c.pictures = pictures.get_config()
  c.evaluations = ConfigDict(dict(
      linear=blocks.only(linear_probe.get_config('linear'), 'simclr'),
      linear_block2=blocks.on_block('linear', 2),
      mlp=blocks.on_block('mlp', 2),
      conv_block=blocks.on_block('conv_block', 2),
      own_head=blocks.only(evaluate.get_config('own_head'), *supervised),
      rotation=blocks.only(evaluate.get_config('rotation'), 'rotnet')),
      sort_keys=False)
  c.display_names = dict(
      simclr='SimCLR, ResNet-18', rotnet='RotNet, NIN',
      supervised_resnet18='Supervised, ResNet-18', supervised_nin='Supervised, NIN',
      linear_block2='Linear, block 2', mlp='MLP, block 2',
      conv_block='Conv block on block 2', own_head='Own classifier')
  c.published = tuple(
      dict(method=method, evaluation=evaluation, value=value,
           source=blocks.POSTER)
      for (method, evaluation), value in PUBLISHED.items())
  return c


def _simclr(preset: str) -> ConfigDict:
  c = simclr_cifar10.get_config('resnet18')
  if preset == 'published':
    c.feed.batch_size = 256
    c.augment = dict(recipe='simclr_v2', strength=1.0, blur=0.5)
    c.method.temperature = 0.07
    c.projector = dict(layers=2, dim=128, batch_norm=False)
    c.optim = dict(name='adam', learning_rate=3e-4, learning_rate_scaling='none',
                   schedule='cosine', warmup_epochs=0., weight_decay=1e-4)
    c.train.epochs = 200.
  return c


def _rotnet(preset: str) -> ConfigDict:
  c = rotnet_cifar10.get_config()
  if preset == 'published':
    c.optim.boundaries_epochs = (30., 60., 80.)
    c.train.epochs = 90.
  return c


def _supervised_nin(preset: str) -> ConfigDict:
  """Returns a supervised NIN with the four blocks and the length of RotNet."""
  c, rotnet = supervised_cifar10.get_config('nin'), _rotnet(preset)
  c.model.blocks = 4
  c.optim = rotnet.optim
  c.train.epochs = rotnet.train.epochs
  return c
