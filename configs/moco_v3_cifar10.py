"""Pre-trains an encoder by MoCo v3 on CIFAR-10 (arXiv:2104.02057).

    python -m ssl_jax.pretrain --config=configs/moco_v3_cifar10.py \\
        --workdir=runs/moco_v3
    python -m ssl_jax.pretrain --config=configs/moco_v3_cifar10.py:resnet20 \\
        --workdir=runs/moco_v3_resnet20

The paper pre-trains on ImageNet only. Its heads for a ResNet are kept: the projector
ends with BatchNorm without parameters, the predictor without a bias. Views, batch,
widths, temperature and tau are those of solo-learn
(scripts/pretrain/cifar/mocov3.yaml), whose README reports 93.10 % linear accuracy of
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
      blur=0., views=dict(         # shared fields, then those of each view
          view1=dict(recipe='byol_view1'),
          view2=dict(recipe='byol_view2')))
  c.method = dict(name='moco_v3', temperature=0.2, tau=0.99)
  c.projector = dict(layers=2, hidden=4096, dim=256, last_layer='bn')
  c.predictor = dict(layers=2, hidden=4096, last_layer='none')
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-6, schedule='cosine', warmup_epochs=10.)
  return c
