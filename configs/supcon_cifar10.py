"""Pre-trains an encoder by SupCon, with labels, on CIFAR-10 (arXiv:2004.11362).

    python -m ssl_jax.pretrain --config=configs/supcon_cifar10.py \\
        --workdir=runs/supcon
    python -m ssl_jax.pretrain --config=configs/supcon_cifar10.py:resnet20 \\
        --workdir=runs/supcon_resnet20

Batch, widths, temperature, optimizer and weight decay are those of solo-learn
(scripts/pretrain/cifar/supcon.yaml), whose README reports 93.82 % linear accuracy of
ResNet-18 after 1000 epochs. The paper reports 96.0 % for ResNet-50 after 1000 epochs.
Views are those of simclr_cifar10.py.
This config has not been run at full length here; --config.train.epochs=200 is a fifth
of it.
"""

from ml_collections import ConfigDict

from configs import cifar10

PRESETS = cifar10.PRESETS


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = cifar10.pretraining(model, batch_size=256, epochs=1000.)
  c.augment = dict(recipe='simclr_v2', strength=0.5)
  c.method = dict(name='supcon', temperature=0.2, tiled='auto')
  c.projector = dict(
      layers=2, hidden=2048, dim=256, batch_norm=False, last_layer='bias')
  c.optim = dict(
      name='sgd', learning_rate=0.4,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-5, schedule='cosine', warmup_epochs=10.)
  return c
