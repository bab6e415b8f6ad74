"""Pre-trains an encoder by MoCo v2 on CIFAR-10 (arXiv:2003.04297).

    python -m ssl_jax.pretrain --config=configs/moco_v2_cifar10.py \\
        --workdir=runs/moco_v2
    python -m ssl_jax.pretrain --config=configs/moco_v2_cifar10.py:resnet20 \\
        --workdir=runs/moco_v2_resnet20

The paper pre-trains on ImageNet only. Its projector has no BatchNorm, as here. Batch,
widths, temperature, queue, optimizer and weight decay are those of solo-learn
(scripts/pretrain/cifar/mocov2plus.yaml), whose README reports 92.94 % linear accuracy
of ResNet-18 after 1000 epochs. The decay of its moving average rises from 0.99 to
0.999; here it stays at 0.99. Views are those of simclr_cifar10.py with larger crops.
This config has not been run at full length here; --config.train.epochs=200 is a fifth
of it.
"""

from ml_collections import ConfigDict

from configs import cifar10

PRESETS = cifar10.PRESETS


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = cifar10.pretraining(model, batch_size=256, epochs=1000.)
  c.augment = dict(
      recipe='simclr_v2', strength=0.5, area=(0.2, 1.0))
  c.method = dict(
      name='moco_v2', temperature=0.2, momentum=0.99, queue_size=32768)
  c.projector = dict(
      layers=2, hidden=2048, dim=256, batch_norm=False, last_layer='bias')
  c.optim = dict(
      name='sgd', learning_rate=0.3,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-4, schedule='cosine', warmup_epochs=10.)
  return c
