"""Pre-trains an encoder by SimCLR on CIFAR-10.

    python -m ssl_jax.pretrain --config=configs/simclr_cifar10.py --workdir=runs/simclr
    python -m ssl_jax.pretrain --config=configs/simclr_cifar10.py:resnet50 \\
        --workdir=runs/simclr_resnet50

Published linear accuracy after 1000 epochs:

* resnet18: "around 91 %" with batch 512. The recipe is that of google-research/simclr's
  README, which reports this figure. resnet20 has the same recipe; no figure is
  published for it.
* resnet50: 94.0 % with batch 1024, the best of three learning rates (arXiv:2002.05709,
  B.9). The recipe is the paper's. No figure is published for resnet50x2.

Time: others report 3.3 hours of one A100 for resnet18 and 10 hours for resnet50. It has
not been measured here. docs/results.md has our results.
"""

from ml_collections import ConfigDict

PRESETS = {
    'resnet18': dict(name='resnet18', stem='cifar'),
    'resnet20': dict(name='resnet20'),
    'resnet50': dict(name='resnet50', stem='cifar'),
    'resnet50x2': dict(name='resnet50', stem='cifar', width=2),
}


def get_config(model: str = 'resnet18') -> ConfigDict:
  large = model.startswith('resnet50')
  c = ConfigDict()
  c.seed = 0
  c.data = dict(name='cifar10')
  c.feed = dict(                   # images, not views; over all devices
      batch_size=1024 if large else 512)
  c.augment = dict(
      recipe='simclr_v2', strength=0.5)  # crop, flip, colour; no blur at 32 px
  c.method = dict(name='simclr', temperature=0.5, tiled='auto')
  c.model = dict(**PRESETS[model], bn_groups=1)
  c.projector = dict(layers=2 if large else 3, dim=128)
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-6 if large else 1e-4,
      schedule='cosine', warmup_epochs=10.)
  c.train = dict(
      epochs=1000., precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=20.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=10.,
      steps_per_dispatch=0)        # 0: the platform's default
  return c
