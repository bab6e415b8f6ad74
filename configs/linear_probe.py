"""The linear probe with augmentation, after google-research/simclr's README.

    python -m ssl_jax.linear_probe --checkpoint=runs/simclr --workdir=runs/simclr/probe

SGD with Nesterov momentum, 0.1 x batch / 256, no weight decay, no warm-up, cosine,
crop and flip; 90 epochs in the paper (arXiv:2002.05709, B.6), 100 in the README.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.feed = dict(batch_size=512)
  c.features = dict(endpoint='pooled', pool='mean', batch_size=512)
  c.augment = dict(recipe='crop_flip')
  c.optim = dict(
      name='sgd', learning_rate=0.1, learning_rate_scaling='linear',
      schedule='cosine', warmup_epochs=0., weight_decay=0.)
  c.train = dict(epochs=90., precision='auto')
  c.data = dict(                     # None: as the encoder was trained
      name=placeholder(str), data_dir=placeholder(str), image_size=placeholder(int),
      validation_fraction=0.1, labels=placeholder(dict))
  c.log = dict(every_steps=50, checkpoint_every_epochs=10.)
  return c
