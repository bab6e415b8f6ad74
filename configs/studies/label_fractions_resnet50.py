"""Compares SimCLR and RotNet at 1, 10, 20 and 100 % of CIFAR-10's labels.

    python -m ssl_jax.study --config=configs/studies/label_fractions_resnet50.py \\
        --workdir=runs/resnet50
    python -m ssl_jax.study --config=configs/studies/label_fractions_resnet50.py:best \\
        --workdir=runs/resnet50_best

The study follows the first table of Mac Gray, Dany Jabban, Zeyu (Michael) Li, "A
Comparison of Representation Learning Methods", course report; its figures are below.
The SimCLR rows of that table are assumed to be fine-tuning. The supervised rows train a
randomly initialised encoder on the same labels. `published` has the settings of the
report: SimCLR with LARS, batch 256 to 4096 and up to 1000 epochs (1024 and 1000 here,
the best of arXiv:2002.05709, B.9), and RotNet for the 100 epochs of its paper. `best`
trains RotNet for the 200 epochs of its authors' code.

Hardware: several GPUs or a TPU slice. The time has not been measured. Others report 10
hours of one A100 for one pre-training of ResNet-50, and the fine-tuning of a seed takes
longer. Use --scale=0.01 on a CPU.
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
PUBLISHED = {  # in %, by column
    ('random_resnet50', 'supervised_resnet50'): (28.3, 48.6, 76.8, 95.9),
    ('random_nin', 'supervised_nin'): (53.5, 81.2, 86.1, 92.8),
    ('rotnet', 'conv_block'): (69.6, 83.7, 86.5, 91.1),
    ('rotnet', 'unfrozen'): (41.8, 75.7, 81.7, 92.1),
    ('simclr_resnet50', 'finetune'): (89.4, 92.0, 92.3, 94.1),
    ('simclr_resnet50x2', 'finetune'): (90.0, 92.4, 92.8, 94.7),
}


def get_config(preset: str = 'published') -> ConfigDict:
  c = ConfigDict()
  c.name = f'label_fractions_resnet50_{preset}'
  c.title = 'SimCLR and RotNet with few labels'
  c.description = (
      'Encoders learned without labels, then given 1, 10, 20 and 100 % of them: '
      'frozen below a linear or convolutional classifier, and fine-tuned. They are '
      'compared with encoders that are trained on these labels only.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  c.methods = ConfigDict(dict(
      simclr_resnet50=simclr_cifar10.get_config('resnet50'),
      simclr_resnet50x2=simclr_cifar10.get_config('resnet50x2'),
      rotnet=_rotnet(preset),
      random_resnet50=blocks.untrained(
          supervised_cifar10.get_config('resnet50')),
      random_nin=blocks.untrained(supervised_cifar10.get_config('nin'))),
      sort_keys=False)
  simclr = 'simclr_resnet50', 'simclr_resnet50x2'
  c.pictures = pictures.get_config()
  c.evaluations = ConfigDict(dict(
      linear=blocks.by_labels(linear_probe.get_config('linear'), *simclr),
      finetune=blocks.by_labels(
          finetune.get_config('simclr'), *simclr, repeat=False),
      conv_block=blocks.by_labels(linear_probe.get_config('conv_block'), 'rotnet'),
      unfrozen=blocks.by_labels(finetune.get_config('rotnet'), 'rotnet'),
      supervised_resnet50=blocks.by_labels(
          blocks.from_scratch('resnet50'), 'random_resnet50'),
      supervised_nin=blocks.by_labels(
          blocks.from_scratch('nin'), 'random_nin'),
      linear_block1=blocks.on_block('linear', 1),
      linear_block2=blocks.on_block('linear', 2),
      mlp_block1=blocks.on_block('mlp', 1),
      mlp_block2=blocks.on_block('mlp', 2),
      rotation=blocks.only(evaluate.get_config('rotation'), 'rotnet')), sort_keys=False)
  c.display_names = {
      'simclr_resnet50': 'SimCLR, ResNet-50', 'rotnet': 'RotNet, NIN',
      'simclr_resnet50x2': 'SimCLR, ResNet-50 (2x)',
      'random_resnet50': 'Untrained ResNet-50', 'random_nin': 'Untrained NIN',
      'random_resnet50/supervised_resnet50': 'Supervised, ResNet-50',
      'random_nin/supervised_nin': 'Supervised, NIN',
      'rotnet/conv_block': 'RotNet, NIN, frozen',
      'rotnet/unfrozen': 'RotNet, NIN, unfrozen',
      'supervised_resnet50': 'Supervised', 'supervised_nin': 'Supervised',
      'unfrozen': 'Fine-tuned from block 2',
      'linear_block1': 'Linear, block 1', 'linear_block2': 'Linear, block 2',
      'mlp_block1': 'MLP, block 1', 'mlp_block2': 'MLP, block 2'}
  c.published = blocks.published(
      blocks.GRAY, blocks.LABELS_PER_CLASS, PUBLISHED)
  return c


def _rotnet(preset: str) -> ConfigDict:
  c = rotnet_cifar10.get_config()
  if preset == 'published':
    c.optim.boundaries_epochs = (30., 60., 80.)
    c.train.epochs = 100.
  return c
