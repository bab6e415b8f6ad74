"""SimSiam on CIFAR-10, as in the paper (arXiv:2011.10566, appendix D).

    python -m ssl_jax.pretrain --config=configs/simsiam_cifar10.py \\
        --workdir=runs/simsiam
    python -m ssl_jax.pretrain --config=configs/simsiam_cifar10.py:resnet20 \\
        --workdir=runs/simsiam_resnet20

Published linear accuracy of ResNet-18 after 800 epochs: 91.8 % (figure D.1 there,
SimCLR 91.1). SGD with base rate 0.03, cosine decay, weight decay 5e-4, batch 512, no
blur, a projector of two layers; the predictor's rate stays at the peak (section 4.2
and the paper's code). Not run here. What we measured on a CPU: docs/results.md.
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
  c.feed = dict(batch_size=512)    # images, not views; over all devices
  c.augment = dict(
      recipe='torchvision', strength=0.5, area=(0.2, 1.0), blur=0.)
  c.method = dict(name='simsiam')
  c.model = dict(**MODELS[model], bn_groups=1)
  c.projector = dict(layers=2, hidden=2048, dim=2048, last_layer='bn')
  c.predictor = dict(layers=2, hidden=512, last_layer='bias')
  c.optim = dict(
      name='sgd', learning_rate=0.03,
      learning_rate_scaling='linear',   # x batch / 256
      momentum=0.9, nesterov=False,
      weight_decay=5e-4, weight_decay_mask='all',
      schedule='cosine', warmup_epochs=0.,
      constant=('predictor',))     # no schedule for these
  c.train = dict(
      epochs=800., precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=20.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=10.,
      steps_per_dispatch=0)        # as many as suit the platform
  return c
