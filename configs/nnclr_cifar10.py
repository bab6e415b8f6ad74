"""Pre-trains an encoder by NNCLR on CIFAR-10 (arXiv:2104.14548).

    python -m ssl_jax.pretrain --config=configs/nnclr_cifar10.py \\
        --workdir=runs/nnclr
    python -m ssl_jax.pretrain --config=configs/nnclr_cifar10.py:resnet20 \\
        --workdir=runs/nnclr_resnet20

The paper pre-trains on ImageNet only. Its heads are kept: three layers that all end
with BatchNorm, and a predictor of two. Views, batch, widths, temperature and queue are
those of solo-learn (scripts/pretrain/cifar/nnclr.yaml), whose README reports 91.88 %
linear accuracy of ResNet-18 after 1000 epochs. The LARS of solo-learn has another trust
coefficient and clips the rate, so the learning rates are not comparable; 1.0 is that of
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
  c.method = dict(name='nnclr', temperature=0.2, queue_size=65536)
  c.projector = dict(layers=3, hidden=2048, dim=256)
  c.predictor = dict(layers=2, hidden=4096)
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-5, schedule='cosine', warmup_epochs=10.)
  return c
