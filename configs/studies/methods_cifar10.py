"""Compares all methods on CIFAR-10: ResNet-18, each by its own config.

    python -m ssl_jax.study --config=configs/studies/methods_cifar10.py \\
        --workdir=runs/methods
    python -m ssl_jax.study --config=configs/studies/methods_cifar10.py:200 \\
        --workdir=runs/methods200

The number after the colon is the number of epochs, 1000 by default. The warm-up is at
most a tenth of it. The published figures are those of solo-learn's README: linear
accuracy of a ResNet-18 after 1000 epochs, measured online. They are shown for 1000
epochs only. SupCon uses the labels, and is a reference for the others.

Hardware: several GPUs or a TPU slice. The time has not been measured. Use --scale=0.01
on a CPU.
"""

from ml_collections import ConfigDict

from configs import (
    barlow_twins_cifar10,
    byol_cifar10,
    evaluate,
    lejepa_cifar10,
    moco_v2_cifar10,
    moco_v3_cifar10,
    nnclr_cifar10,
    pictures,
    rotnet_cifar10,
    simclr_cifar10,
    simsiam_cifar10,
    supcon_cifar10,
    swav_cifar10,
    vicreg_cifar10,
)
from configs.studies import building_blocks as blocks

CONFIGS = {
    'simclr': simclr_cifar10, 'moco_v2': moco_v2_cifar10, 'moco_v3': moco_v3_cifar10,
    'byol': byol_cifar10, 'simsiam': simsiam_cifar10, 'nnclr': nnclr_cifar10,
    'barlow_twins': barlow_twins_cifar10, 'vicreg': vicreg_cifar10,
    'lejepa': lejepa_cifar10, 'swav': swav_cifar10, 'supcon': supcon_cifar10}
NAMES = {
    'simclr': 'SimCLR', 'dcl': 'DCL', 'moco_v2': 'MoCo v2', 'moco_v3': 'MoCo v3',
    'byol': 'BYOL', 'simsiam': 'SimSiam', 'nnclr': 'NNCLR',
    'barlow_twins': 'Barlow Twins', 'vicreg': 'VICReg', 'lejepa': 'LeJEPA',
    'swav': 'SwAV',     'supcon': 'SupCon (labels)',
    'rotnet': 'RotNet', 'random': 'Random encoder'}
PUBLISHED = {  # solo-learn's README, in %
    'simclr': 90.74, 'moco_v2': 92.94, 'moco_v3': 93.10, 'byol': 92.58,
    'simsiam': 90.51, 'nnclr': 91.88, 'barlow_twins': 92.10, 'vicreg': 92.07,
    'swav': 89.17, 'supcon': 93.82}


def get_config(epochs: str = '1000') -> ConfigDict:
  c = ConfigDict()
  c.name = 'methods_cifar10'
  c.title = 'Methods of self-supervised learning on CIFAR-10'
  c.description = (
      f'ResNet-18, {epochs} epochs by each method with its own config; RotNet on the '
      'same network.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  c.pictures = pictures.get_config()
  methods = _methods(float(epochs))
  c.methods = ConfigDict({name: methods[name] for name in NAMES}, sort_keys=False)
  c.evaluations = ConfigDict(
      dict(linear=evaluate.get_config('linear'), knn=evaluate.get_config('knn')),
      sort_keys=False)
  c.display_names = NAMES
  c.published = tuple(
      dict(method=method, evaluation='linear', value=value,
           source='solo-learn, README (measured online)')
      for method, value in PUBLISHED.items()) if float(epochs) == 1000 else ()
  return c


def _methods(epochs: float) -> dict[str, ConfigDict]:
  methods = {name: config.get_config('resnet18') for name, config in CONFIGS.items()}
  methods['dcl'] = simclr_cifar10.get_config('resnet18')
  methods['dcl'].method.decoupled = True
  methods['rotnet'] = rotnet_cifar10.get_config()
  methods['rotnet'].model = methods['simclr'].model
  methods['rotnet'].train.online_endpoint = 'stage2'
  for name, c in methods.items():
    if name != 'rotnet':  # Its schedule of 200 epochs has steps, and no warm-up.
      c.train.epochs = epochs
      c.optim.warmup_epochs = min(c.optim.warmup_epochs, epochs / 10)
  methods['random'] = blocks.untrained(methods['simclr'])
  return methods
