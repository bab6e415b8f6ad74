"""SimCLR on CIFAR-10, the recipe of google-research/simclr's README.

    python -m ssl_jax.pretrain --config=configs/simclr_cifar10.py --workdir=runs/simclr

Published: about 91 % linear accuracy for ResNet-18 at batch 512 after 1000
epochs (google-research/simclr README). What we measured: docs/results.md.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def get_config() -> ConfigDict:
  """Every section is read by one builder; its class documents the fields."""
  c = ConfigDict()
  c.seed = 0
  c.data = dict(name='cifar10', data_dir=placeholder(str))
  c.feed = dict(batch_size=512)    # images, not views; over all devices
  c.augment = dict(
      recipe='simclr_v2', strength=0.5)  # crop, flip, colour; no blur at 32 px
  c.method = dict(name='simclr', temperature=0.5)
  c.model = dict(name='resnet18', stem='cifar')
  c.projector = dict(layers=3, dim=128)
  c.optim = dict(
      name='lars', learning_rate=1.0,
      learning_rate_scaling='linear',   # x batch / 256
      weight_decay=1e-4, schedule='cosine', warmup_epochs=10.)
  c.train = dict(
      epochs=1000., precision='auto', online_probe=True, knn_every_epochs=20.)
  c.log = dict(every_steps=50, checkpoint_every_epochs=10.)
  return c
