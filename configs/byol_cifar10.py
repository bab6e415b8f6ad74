"""Pre-trains an encoder by BYOL on CIFAR-10 (arXiv:2006.07733).

    python -m ssl_jax.pretrain --config=configs/byol_cifar10.py --workdir=runs/byol
    python -m ssl_jax.pretrain --config=configs/byol_cifar10.py:resnet20 \\
        --workdir=runs/byol_resnet20

The paper pre-trains on ImageNet only. Its views, heads and rising moving average are
kept. Blur is left out, as usual at 32 px. Batch, widths, weight decay and tau = 0.99
are those of solo-learn (scripts/pretrain/cifar/byol.yaml). The README of solo-learn
reports 92.58 % linear accuracy of ResNet-18 after 1000 epochs. The LARS of solo-learn
has another trust coefficient and clips the rate, so the learning rates are not
comparable. This config has not been run at full length here. docs/results.md has our
results on a CPU.
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
  c.method = dict(name='byol', tau=0.99)
  c.projector = dict(layers=2, hidden=4096, dim=256, last_layer='none')
  c.predictor = dict(layers=2, hidden=4096, last_layer='none')
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-5, schedule='cosine', warmup_epochs=10.)
  return c
