"""BYOL on CIFAR-10 (arXiv:2006.07733).

    python -m ssl_jax.pretrain --config=configs/byol_cifar10.py --workdir=runs/byol
    python -m ssl_jax.pretrain --config=configs/byol_cifar10.py:resnet20 \\
        --workdir=runs/byol_resnet20

The paper pre-trains on ImageNet only. Its views, heads and rising moving average are
kept; blur is left out, as usual at 32 px. Batch, widths, weight decay and tau = 0.99
are those of solo-learn (scripts/pretrain/cifar/byol.yaml), which reports 92.58 %
linear accuracy of ResNet-18 after 1000 epochs (its README; its LARS has another trust
coefficient and clips the rate, so that learning rates do not compare). Not run here.
What we measured on a CPU: docs/results.md.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

MODELS = {
    'resnet18': dict(name='resnet18', stem='cifar'),
    'resnet20': dict(name='resnet20'),
}


def get_config(model: str = 'resnet18') -> ConfigDict:
  model = model.removeprefix('model=')
  if model not in MODELS:
    raise ValueError(f'{model!r} is not one of {", ".join(MODELS)}')
  c = ConfigDict()
  c.seed = 0
  c.data = dict(                   # sizes are for images of your own
      name='cifar10', data_dir=placeholder(str), image_size=placeholder(int),
      canvas=placeholder(bool))
  c.feed = dict(batch_size=256)    # images, not views; over all devices
  c.augment = dict(
      blur=0., views=dict(         # shared fields, then each view's own
          view1=dict(recipe='byol_view1'),
          view2=dict(recipe='byol_view2')))
  c.method = dict(name='byol', tau=0.99)
  c.model = dict(**MODELS[model], bn_groups=1)
  c.projector = dict(layers=2, hidden=4096, dim=256, last_layer='none')
  c.predictor = dict(layers=2, hidden=4096, last_layer='none')
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-5, schedule='cosine', warmup_epochs=10.)
  c.train = dict(
      epochs=1000., precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=20.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=10.,
      steps_per_dispatch=0)        # as many as suit the platform
  return c
