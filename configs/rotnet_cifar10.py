"""Pre-trains an encoder by RotNet on CIFAR-10 with the recipe of its authors' code.

    python -m ssl_jax.pretrain --config=configs/rotnet_cifar10.py --workdir=runs/rotnet

Evaluate the encoder with configs/linear_probe.py:conv_block. Published figures are
93.65 % rotation accuracy (a rerun of that code) and 91.16 % class accuracy by a
convolutional classifier on the second block (Gidaris et al. 2018, arXiv:1803.07728,
table 3). The paper trains for 100 epochs, with boundaries at 30, 60 and 80.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.data = dict(name='cifar10')
  c.feed = dict(batch_size=128)    # images; the network sees four times as many rows
  c.augment = dict(
      recipe='rotnet', pad=4,
      mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
      std=(63.0 / 255, 62.1 / 255, 66.7 / 255))
  c.method = dict(name='rotnet', rotations='all')
  c.model = dict(name='nin', blocks=4)
  c.optim = dict(
      name='sgd', learning_rate=0.1, learning_rate_scaling='none',
      schedule='step', boundaries_epochs=(60., 120., 160.), factor=0.2,
      weight_decay=5e-4, weight_decay_mask='all')
  c.train = dict(
      epochs=200., precision='auto', online_probe=True, knn_every_epochs=0.,
      online_endpoint='block2')      # 'pooled' contains rotations, hardly classes
  c.log = dict(every_steps=50, checkpoint_every_epochs=10.)
  return c
