"""Pre-trains a ViT by MoCo v3 on ImageNet (arXiv:2104.02057, section 4 and its code).

    python -m ssl_jax.pretrain --config=configs/moco_v3_imagenet.py:vit_small \\
        --workdir=runs/moco_v3_imagenet

docs/scaling.md explains how to get the images; --config.data.name may also be
folder:/path. The authors' code (facebookresearch/moco-v3) reports a linear accuracy of
73.2 % for ViT-S and 76.7 % for ViT-B after these 300 epochs; ViT-S has 12 heads there,
and was trained with 1024 images in a batch. These figures have not been measured here.
The views are those of BYOL, whose code adds the change of brightness where MoCo v3
multiplies by it.

Hardware: a TPU pod, or several hosts with GPUs.
"""

from ml_collections import ConfigDict

PRESETS = {
    'vit_small': dict(name='vit_small', heads=12),
    'vit_base': dict(name='vit_base', heads=12),
}


def get_config(model: str = 'vit_small') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.data = dict(name='imagenet2012', image_size=512, canvas=True)  # simclr_imagenet.py
  c.feed = dict(batch_size=4096)
  c.augment = dict(
      size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), views=dict(
          view1=dict(recipe='byol_view1'),
          view2=dict(recipe='byol_view2')))
  c.method = dict(name='moco_v3', temperature=0.2, tau=0.99)
  c.model = dict(
      **PRESETS[model], patch=16, position='sincos', freeze_patch=True)
  c.projector = dict(layers=3, hidden=4096, dim=256, last_layer='bn')
  c.predictor = dict(layers=2, hidden=4096, last_layer='bn')
  c.optim = dict(
      name='adamw', learning_rate=1.5e-4, learning_rate_scaling='linear',
      weight_decay=0.1, weight_decay_mask='all', schedule='cosine',
      warmup_epochs=40.)
  c.train = dict(
      epochs=300., precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=0.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=1.,
      steps_per_dispatch=0)        # 0: the platform's default
  return c
