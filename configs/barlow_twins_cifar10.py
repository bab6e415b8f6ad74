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
from ml_collections.config_dict import placeholder

PRESETS = {
    'resnet18': dict(name='resnet18', stem='cifar'),
    'resnet20': dict(name='resnet20'),
}


def get_config(model: str = 'resnet18') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.data = dict(                   # set the sizes for your own images
      name='cifar10', data_dir=placeholder(str), image_size=placeholder(int),
      canvas=placeholder(bool))
  c.feed = dict(batch_size=512)    # images, not views; over all devices
  c.augment = dict(
      recipe='torchvision', strength=0.5, area=(0.2, 1.0), blur=0.)
  c.method = dict(name='barlow_twins', redundancy_weight=0.005)
  c.model = dict(**PRESETS[model], bn_groups=1)
  c.projector = dict(layers=3, hidden=2048, dim=2048, last_layer='none')
  c.optim = dict(
      name='lars', learning_rate=0.2,
      learning_rate_scaling='linear',   # x batch / 256
      momentum=0.9, nesterov=False,
      weight_decay=1.5e-6, weight_decay_mask='kernels',
      schedule='cosine', warmup_epochs=10.)
  c.train = dict(
      epochs=800., precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=20.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=10.,
      steps_per_dispatch=0)        # 0: the platform's default
  return c
