"""SimCLR on ImageNet, the default of the paper (arXiv:2002.05709, section 2.2).

    python -m ssl_jax.pretrain --config=configs/simclr_imagenet.py:resnet50 \\
        --workdir=runs/simclr_imagenet

A TPU pod, or several hosts with GPUs. How to get the images: docs/scaling.md;
--config.data.name may also be folder:/path. Published linear accuracy of ResNet-50:
64.5 % after these 100 epochs, 69.3 after 1000 (table 6; there resnet50x2 74.2,
resnet50x4 76.5). Fine-tuned on 1 / 10 % of the labels, after 1000 epochs: 48.3 / 65.6
(configs/finetune_imagenet.py). Not measured here.
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
  # ILSVRC's images, mostly 500 pixels wide, lie on this canvas as they are: crops lose
  # nothing, and the host has nothing to resize. 768 KiB each make 3 GiB of a batch for
  # all devices together, and 5 GB/s to an H200 at its roofline, a tenth of PCIe. 384
  # would take 0.56 of that, and have 64 % of the crops enlarged to 224, not 37.
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
      steps_per_dispatch=0)        # as many as suit the platform
  return c
