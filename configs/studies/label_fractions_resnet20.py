"""Compares SimCLR and RotNet with one ResNet-20, at 1 and 10 % of the labels.

    python -m ssl_jax.study --config=configs/studies/label_fractions_resnet20.py \\
        --workdir=runs/resnet20
    python -m ssl_jax.study --config=configs/studies/label_fractions_resnet20.py:best \\
        --workdir=runs/resnet20_best

The study follows Anna Dai, Tigran Harutyunyan, Deekshita Saikia, "Self-Supervised
Learning with SimCLR and RotNet", Duke University; its figures are below. `published`
has the settings of that report; settings that it does not state come from
configs/simclr_cifar10.py and configs/rotnet_cifar10.py. `best` has settings that work
better elsewhere: SimCLR with learning rate 1.0 x batch / 256 for 1000 epochs, and
RotNet for the 200 epochs of its authors' code, with its convolutional classifier on the
second stage.

Hardware: one GPU. The time has not been measured. Use --scale=0.01 on a CPU.
"""

from ml_collections import ConfigDict

from configs import (
    evaluate,
    finetune,
    linear_probe,
    pictures,
    rotnet_cifar10,
    simclr_cifar10,
    supervised_cifar10,
)
from configs.studies import building_blocks as blocks

PRESETS = ('published', 'best')
COLUMNS = {name: blocks.LABELS_PER_CLASS[name] for name in ('1pct', '10pct')}
PUBLISHED = {  # in %, by column
    ('random_resnet20', 'supervised'): (50.54, 81.94),
    ('simclr', 'linear'): (64.15, 69.30),
    ('rotnet', 'linear'): (47.31, 55.59),
    ('rotnet', 'last_stage'): (70.71, 83.64),
}


def get_config(preset: str = 'published') -> ConfigDict:
  c = ConfigDict()
  c.name = f'label_fractions_resnet20_{preset}'
  c.title = 'SimCLR and RotNet with one light encoder'
  c.description = (
      'ResNet-20 pre-trained by SimCLR and by RotNet, given 1 and 10 % of the labels: '
      'frozen below a linear classifier, and with its last stage retrained. They are '
      'compared with a ResNet-20 that is trained on these labels only.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  c.methods = ConfigDict(dict(
      simclr=_simclr(preset), rotnet=_rotnet(preset),
      random_resnet20=blocks.untrained(supervised_cifar10.get_config('resnet20'))),
      sort_keys=False)
  evaluations = dict(
      linear=_by_labels(linear_probe.get_config('linear'), 'simclr', 'rotnet'),
      last_stage=_by_labels(finetune.get_config('last_stage'), 'rotnet'),
      supervised=_by_labels(blocks.from_scratch('resnet20'), 'random_resnet20'))
  if preset == 'best':
    evaluations['conv_block'] = _by_labels(
        linear_probe.get_config('conv_block'), 'rotnet')
    evaluations['conv_block'].features.endpoint = 'stage2'
  evaluations['rotation'] = blocks.only(evaluate.get_config('rotation'), 'rotnet')
  c.pictures = pictures.get_config()
  c.evaluations = ConfigDict(evaluations, sort_keys=False)
  c.display_names = {
      'simclr': 'SimCLR', 'rotnet': 'RotNet', 'random_resnet20': 'Untrained ResNet-20',
      'random_resnet20/supervised': 'Supervised, ResNet-20',
      'rotnet/last_stage': 'RotNet, semi-supervised'}
  c.published = blocks.published(blocks.DAI, COLUMNS, PUBLISHED)
  return c


def _simclr(preset: str) -> ConfigDict:
  c = simclr_cifar10.get_config('resnet20')
  c.feed.batch_size = 1024
  c.projector.layers = 2
  c.optim.weight_decay = 1e-6
  if preset == 'published':
    c.optim.learning_rate = 0.012
    c.optim.learning_rate_scaling = 'none'
    c.optim.warmup_epochs = 20.
    c.train.epochs = 100.
  return c


def _rotnet(preset: str) -> ConfigDict:
  c = rotnet_cifar10.get_config()
  c.model = dict(name='resnet20')
  c.train.online_endpoint = 'stage2'
  if preset == 'published':
    c.optim.boundaries_epochs = (30., 60., 80.)
    c.train.epochs = 100.
  return c


def _by_labels(evaluation: ConfigDict, *methods: str) -> ConfigDict:
  return blocks.by_labels(evaluation, *methods, columns=COLUMNS)
