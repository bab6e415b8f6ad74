"""Trains a classifier on a frozen encoder, with augmentation.

    python -m ssl_jax.linear_probe --checkpoint=runs/simclr --workdir=runs/simclr/probe
    python -m ssl_jax.linear_probe --checkpoint=runs/rotnet \\
        --config=configs/linear_probe.py:conv_block --workdir=runs/rotnet/conv_block

The presets are:

* linear follows the README of google-research/simclr: SGD with Nesterov momentum, 0.1 x
  batch / 256, no weight decay, no warm-up, cosine, crop and flip. It trains for 90
  epochs, as the paper does (arXiv:2002.05709, B.6); the README has 100.
* mlp and conv_block are RotNet's classifiers on its second block (arXiv:1803.07728,
  table 1: 89.06 %, table 3: 91.16 % on CIFAR-10, with 4 blocks). The schedules are
  those of RotNet's code.
"""

from ml_collections import ConfigDict

BOUNDARIES = {  # epochs after which RotNet's code divides the learning rate by 5
    'mlp': (20., 40., 45.),
    'conv_block': (35., 70., 85.),
}
PRESETS = ('linear', *BOUNDARIES)


def get_config(head: str = 'linear') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.head = dict(name=head)
  if head == 'linear':
    c.feed = dict(batch_size=512)
    c.features = dict(endpoint='pooled', pool='mean', batch_size=512)
    c.augment = dict(recipe='crop_flip')  # size and normalisation are the encoder's
    c.optim = dict(
        name='sgd', learning_rate=0.1, learning_rate_scaling='linear',
        schedule='cosine', warmup_epochs=0., weight_decay=0.)
    c.train = dict(epochs=90., precision='auto')
  else:
    c.feed = dict(batch_size=128)
    c.features = dict(endpoint='block2', batch_size=512,
                      pool='flatten' if head == 'mlp' else 'none')
    c.augment = dict(recipe='rotnet')
    c.optim = dict(
        name='sgd', learning_rate=0.1, learning_rate_scaling='none',
        schedule='step', boundaries_epochs=BOUNDARIES[head], factor=0.2,
        weight_decay=5e-4, weight_decay_mask='all')
    c.train = dict(epochs=100., precision='auto')
  c.data = dict(validation_fraction=0.1)  # other fields are those of the encoder
  c.log = dict(every_steps=50, checkpoint_every_epochs=10.)
  return c
