"""Pre-trains an encoder by Barlow Twins on CIFAR-10 (arXiv:2103.03230).

    python -m ssl_jax.pretrain --config=configs/barlow_twins_cifar10.py \\
        --workdir=runs/barlow_twins
    python -m ssl_jax.pretrain --config=configs/barlow_twins_cifar10.py:resnet20 \\
        --workdir=runs/barlow_twins_resnet20

The paper has no recipe for CIFAR-10. Its recipe for ImageNet (section 2.2) gives the
optimizer: LARS with base rate 0.2, ten epochs of warm-up, cosine decay, weight decay
1.5e-6, lambda 0.005 and a projector of three layers of equal width. The views, the
batch and the number of epochs are those of configs/simsiam_cifar10.py. The paper's
projector is 8192 wide, and its biases have a learning rate of their own; this config
has neither. It has not been run at full length here.
"""

from ml_collections import ConfigDict

from configs import cifar10

PRESETS = cifar10.PRESETS


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = cifar10.pretraining(model, batch_size=512, epochs=800.)
  c.augment = dict(
      recipe='torchvision', strength=0.5, area=(0.2, 1.0), blur=0.)
  c.method = dict(name='barlow_twins', redundancy_weight=0.005)
  c.projector = dict(layers=3, hidden=2048, dim=2048, last_layer='none')
  c.optim = dict(
      name='lars', learning_rate=0.2,
      learning_rate_scaling='linear',   # x batch / 256
      momentum=0.9, nesterov=False,
      weight_decay=1.5e-6, weight_decay_mask='kernels',
      schedule='cosine', warmup_epochs=10.)
  return c
