"""Compares SimCLR with a random encoder on CIFAR-10, in an hour of two CPU cores.

    python -m ssl_jax.study --config=configs/studies/simclr_cifar10_cpu.py \\
        --workdir=runs/cifar10_cpu

The pre-training is that of configs/simclr_cifar10_cpu.py. docs/results.md has the
results.
"""

from ml_collections import ConfigDict

from configs import evaluate, pictures, simclr_cifar10_cpu
from configs.studies import building_blocks as blocks


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'simclr_cifar10_cpu'
  c.title = 'SimCLR on CIFAR-10 in one hour of two CPU cores'
  c.description = (
      'ResNet-20 pre-trained by SimCLR for a few epochs, against the same encoder at '
      'its random initialisation.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0,)
  simclr = simclr_cifar10_cpu.get_config()
  random = blocks.untrained(simclr)
  c.methods = ConfigDict(  # reported in this order
      dict(simclr=simclr, random=random), sort_keys=False)
  c.display_names = dict(simclr='SimCLR', random='Random encoder')
  c.pictures = pictures.get_config()
  c.evaluations = ConfigDict(
      dict(linear=evaluate.get_config('linear'), knn=evaluate.get_config('knn')),
      sort_keys=False)
  return c
