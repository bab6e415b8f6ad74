"""Provides what the pre-training configs `<method>_cifar10.py` share.

A config adds what belongs to its method: `augment`, `method`, the heads and `optim`.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

PRESETS = {
    'resnet18': dict(name='resnet18', stem='cifar'),
    'resnet20': dict(name='resnet20'),
}


def pretraining(model: str, *, batch_size: int, epochs: float) -> ConfigDict:
  """Returns the sections that do not depend on the method.

  Args:
    model: A key of PRESETS.
    batch_size: Number of images, not views, over all devices.
    epochs: Length of the training.
  """
  c = ConfigDict()
  c.seed = 0
  c.data = dict(                   # set the sizes for your own images
      name='cifar10', data_dir=placeholder(str), image_size=placeholder(int),
      canvas=placeholder(bool))
  c.feed = dict(batch_size=batch_size)
  c.model = dict(**PRESETS[model], bn_groups=1)
  c.train = dict(
      epochs=epochs, precision='auto', grad_cache_chunks=1, online_probe=True,
      knn_every_epochs=20.)
  c.log = dict(
      every_steps=50, checkpoint_every_epochs=10.,
      steps_per_dispatch=0)        # 0: the platform's default
  return c
