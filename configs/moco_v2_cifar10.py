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
  c.feed = dict(batch_size=256)    # images, not views; over all devices
  c.augment = dict(
      recipe='simclr_v2', strength=0.5, area=(0.2, 1.0))
  c.method = dict(
      name='moco_v2', temperature=0.2, momentum=0.99, queue_size=32768)
  c.model = dict(**PRESETS[model], bn_groups=1)
  c.projector = dict(
      layers=2, hidden=2048, dim=256, batch_norm=False, last_layer='bias')
  c.optim = dict(
      name='sgd', learning_rate=0.3,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-4, schedule='cosine', warmup_epochs=10.)
  c.train = dict(
      epochs=1000., precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=20.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=10.,
      steps_per_dispatch=0)        # 0: the platform's default
  return c
