"""Trains an encoder with all labels of CIFAR-10, as a supervised baseline.

    python -m ssl_jax.pretrain --config=configs/supervised_cifar10.py:resnet50 \\
        --workdir=runs/supervised
    python -m ssl_jax.evaluate --config=configs/evaluate.py:own_head \\
        --checkpoint=runs/supervised

Published figures in %: nin 92.80 (arXiv:1803.07728, table 3; 3 blocks, schedule of that
paper's code), resnet20 91.25 (arXiv:1512.03385, table 6; another schedule), resnet50
95.1 (arXiv:2002.05709, B.9; another schedule). All training images are used. The time
has not been measured.
"""

from ml_collections import ConfigDict

from configs import rotnet_cifar10

PRESETS = {
    'resnet18': dict(name='resnet18', stem='cifar'),
    'resnet20': dict(name='resnet20'),
    'resnet50': dict(name='resnet50', stem='cifar'),
    'nin': dict(name='nin', blocks=3),
}


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = rotnet_cifar10.get_config()  # batch 128, shift and flip, SGD 0.1, 200 epochs
  c.method = dict(name='supervised')
  c.model = PRESETS[model]
  if model != 'nin':
    c.optim = dict(
        name='sgd', learning_rate=0.1, learning_rate_scaling='none',
        schedule='cosine', warmup_epochs=0., weight_decay=5e-4,
        weight_decay_mask='all')
  c.train.online_probe = False  # the network has its own classifier
  c.train.online_endpoint = 'pooled'
  return c
