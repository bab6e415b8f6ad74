"""Pre-trains a ResNet-20 by SimCLR on CIFAR-10, in the time that two CPU cores allow.

    python -m ssl_jax.pretrain --config=configs/simclr_cifar10_cpu.py --workdir=runs/cpu
    python -m ssl_jax.pretrain --config=configs/simclr_cifar10_cpu.py:px16 \\
        --workdir=runs/cpu16

The preset px32 takes about an hour for 9 epochs. px16 has views of 16 px, which cost a
quarter: 10 epochs take a quarter of an hour. Crop and colour distortion are those of
simclr_cifar10.py. The optimizer is Adam instead of LARS, because the training is short.
docs/results.md has the results.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

PRESETS = {'px32': dict(size=placeholder(int), epochs=9.),
           'px16': dict(size=16, epochs=10.)}


def get_config(preset: str = 'px32') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.data = dict(name='cifar10', data_dir=placeholder(str))
  c.feed = dict(batch_size=125)
  c.augment = dict(recipe='simclr_v2', strength=0.5, size=PRESETS[preset]['size'])
  c.method = dict(name='simclr', temperature=0.5)
  c.model = dict(name='resnet20', width=1)
  c.projector = dict(layers=2, dim=128)
  c.optim = dict(name='adam', learning_rate=1e-3, learning_rate_scaling='none',
                 schedule='cosine', warmup_epochs=0.1, weight_decay=1e-6)
  c.train = dict(epochs=PRESETS[preset]['epochs'], knn_every_epochs=1.)
  c.log = dict(every_steps=10, checkpoint_every_epochs=0.5)
  return c
