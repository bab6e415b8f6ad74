"""Pre-trains an encoder by SimCLR on ImageNet, the default of arXiv:2002.05709, 2.2.

    python -m ssl_jax.pretrain --config=configs/simclr_imagenet.py:resnet50 \\
        --workdir=runs/simclr_imagenet

docs/scaling.md explains how to get the images; --config.data.name may also be
folder:/path. The published linear accuracy of ResNet-50 is 64.5 % after these 100
epochs and 69.3 % after 1000 (table 6; resnet50x2 has 74.2 % there, resnet50x4 76.5 %).
Fine-tuned on 1 / 10 % of the labels after 1000 epochs, it is 48.3 / 65.6 %
(configs/finetune_imagenet.py). These figures have not been measured here.

Hardware: a TPU pod, or several hosts with GPUs.
"""

from ml_collections import ConfigDict

PRESETS = {
    'resnet50': dict(name='resnet50', width=1),
    'resnet50x2': dict(name='resnet50', width=2),
    'resnet50x4': dict(name='resnet50', width=4),
}


def get_config(model: str = 'resnet50') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  # ILSVRC's images are mostly 500 pixels wide and fit this canvas unchanged, so crops
  # lose nothing and the host has nothing to resize. At 768 KiB per image, a batch takes
  # 3 GiB on all devices together, and an H200 at its roofline reads 5 GB/s, a tenth of
  # PCIe. A canvas of 384 would take 0.56 of that, but 64 % of the crops would be
  # enlarged to 224 instead of 37 %.
  c.data = dict(
      name='imagenet2012', image_size=512, canvas=True)
  c.feed = dict(batch_size=4096)
  c.augment = dict(
      recipe='simclr_v2', size=224, strength=1.0, blur=0.5)
  c.method = dict(name='simclr', temperature=0.1, tiled='auto')
  c.model = dict(**PRESETS[model], stem='imagenet', bn_groups=1)
  c.projector = dict(layers=2, dim=128)
  c.optim = dict(
      name='lars', learning_rate=0.3, learning_rate_scaling='linear',
      weight_decay=1e-6, schedule='cosine', warmup_epochs=10.)
  c.train = dict(
      epochs=100., precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=0.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=1.,
      steps_per_dispatch=0)        # 0: the platform's default
  return c
