"""Compares SimCLR with a random encoder on CIFAR-10, in an hour of two CPU cores.

    python -m ssl_jax.study --config=configs/studies/simclr_cifar10_cpu.py \\
        --workdir=runs/cifar10_cpu

The encoder is a ResNet-20. Crop and colour distortion are those of simclr_cifar10.py.
The optimizer is Adam instead of LARS, because the run is short. docs/results.md has the
results.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs import evaluate, pictures


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'simclr_cifar10_cpu'
  c.title = 'SimCLR on CIFAR-10 in one hour of two CPU cores'
  c.description = (
      'ResNet-20 pre-trained by SimCLR for a few epochs, against the same encoder at '
      'its random initialisation.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0,)
  random = _simclr()
  random.train.epochs = 0.
  c.methods = ConfigDict(  # reported in this order
      dict(simclr=_simclr(), random=random), sort_keys=False)
  c.display_names = dict(simclr='SimCLR', random='Random encoder')
  c.pictures = pictures.get_config()
  c.evaluations = ConfigDict(
      dict(linear=evaluate.get_config('linear'), knn=evaluate.get_config('knn')),
      sort_keys=False)
  return c


def _simclr() -> ConfigDict:
  c = ConfigDict()
  c.data = dict(name='cifar10', data_dir=placeholder(str))
  c.feed = dict(batch_size=125)
  c.augment = dict(recipe='simclr_v2', strength=0.5)
  c.method = dict(name='simclr', temperature=0.5)
  c.model = dict(name='resnet20', width=1)
  c.projector = dict(layers=2, dim=128)
  c.optim = dict(name='adam', learning_rate=1e-3, learning_rate_scaling='none',
                 schedule='cosine', warmup_epochs=0.1, weight_decay=1e-6)
  c.train = dict(epochs=9., knn_every_epochs=1.)
  c.log = dict(every_steps=10, checkpoint_every_epochs=0.5)
  return c
