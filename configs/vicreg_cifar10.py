"""Pre-trains an encoder by VICReg on CIFAR-10 (arXiv:2105.04906).

    python -m ssl_jax.pretrain --config=configs/vicreg_cifar10.py \\
        --workdir=runs/vicreg
    python -m ssl_jax.pretrain --config=configs/vicreg_cifar10.py:resnet20 \\
        --workdir=runs/vicreg_resnet20

The paper pre-trains on ImageNet only. Its projector ends without a bias, as here.
Views, batch, widths and weights of the loss are those of solo-learn
(scripts/pretrain/cifar/vicreg.yaml), whose README reports 92.07 % linear accuracy of
ResNet-18 after 1000 epochs. The LARS of solo-learn has another trust coefficient and
clips the rate, so the learning rates are not comparable; 1.0 is that of
simclr_cifar10.py.
This config has not been run at full length here; --config.train.epochs=200 is a fifth
of it.
"""

from ml_collections import ConfigDict

from configs import cifar10

PRESETS = cifar10.PRESETS


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = cifar10.pretraining(model, batch_size=256, epochs=1000.)
  c.augment = dict(
      recipe='byol_view1', area=(0.2, 1.0), blur=0., solarize=0.1)
  c.method = dict(
      name='vicreg', invariance_weight=25., variance_weight=25., covariance_weight=1.)
  c.projector = dict(layers=3, hidden=2048, dim=2048, last_layer='none')
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-4, schedule='cosine', warmup_epochs=10.)
  return c
