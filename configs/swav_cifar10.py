"""Pre-trains an encoder by SwAV on CIFAR-10 (arXiv:2006.09882).

    python -m ssl_jax.pretrain --config=configs/swav_cifar10.py --workdir=runs/swav
    python -m ssl_jax.pretrain --config=configs/swav_cifar10.py:resnet20 \\
        --workdir=runs/swav_resnet20
    python -m ssl_jax.pretrain --config=configs/swav_cifar10.py:multi_crop \\
        --workdir=runs/swav_multi_crop

The paper pre-trains on ImageNet only. Batch, widths, prototypes and queue are those of
solo-learn (scripts/pretrain/cifar/swav.yaml), which has two views and no small crops;
its README reports 89.17 % linear accuracy of ResNet-18 after 1000 epochs. The LARS of
solo-learn has another trust coefficient and clips the rate, so the learning rates are
not comparable; 1.0 is that of simclr_cifar10.py. Views are those of simclr_cifar10.py.
The preset multi_crop adds four crops of 16 px, which cost as much as one of 32 px, with
the areas of the paper (section 3.3). This config has not been run at full length here;
--config.train.epochs=200 is a fifth of it.
"""

from ml_collections import ConfigDict

from configs import cifar10

PRESETS = {**cifar10.PRESETS, 'multi_crop': cifar10.PRESETS['resnet18']}


def get_config(preset: str = 'resnet18') -> ConfigDict:
  model = 'resnet18' if preset == 'multi_crop' else preset
  c = cifar10.pretraining(model, batch_size=256, epochs=1000.)
  c.augment = dict(                # shared fields, then those of each view
      recipe='simclr_v2', strength=0.5, views=dict(large=dict(count=2)))
  if preset == 'multi_crop':
    c.augment.size = 32
    c.augment.views = dict(large=dict(count=2, area=(0.14, 1.0)),
                           small=dict(count=4, size=16, area=(0.05, 0.14)))
  c.method = dict(
      name='swav', temperature=0.1, prototypes=3000, epsilon=0.05,
      freeze_prototypes=0.002,     # of the training: 2 of 1000 epochs
      queue_size=3840, queue_start=0.05)
  c.projector = dict(layers=2, hidden=2048, dim=128, last_layer='bias')
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-6, schedule='cosine', warmup_epochs=10.)
  return c
