"""Fine-tunes a trained encoder with a new classifier on the images that have a label.

    python -m ssl_jax.finetune --checkpoint=runs/simclr --workdir=runs/simclr/ft1
    python -m ssl_jax.finetune --checkpoint=runs/simclr --workdir=runs/simclr/ft10 \\
        --config.data.label_subset.fraction=0.1 --config.train.epochs=30
    python -m ssl_jax.finetune --checkpoint=runs/rotnet --workdir=runs/rotnet/ft \\
        --config=configs/finetune.py:rotnet --config.data.label_subset.fraction=1

The presets are:

* simclr trains everything, as Chen et al. 2020 (arXiv:2002.05709, B.5) do on 1 % and 10
  % of the labels: SGD with Nesterov momentum, 0.05 x batch / 256, no weight decay, no
  warm-up, crop and flip; 60 epochs on 1 %, 30 on 10 %. Their batch of 4096 is 128 here.
  --config.features.endpoint=projection1 keeps the first layer of the projection head,
  as SimCLR v2 does (arXiv:2006.10029).
* prune is simclr with 95 % of the weights pruned and the others quantized to 6 bits.
  --config.compression.sparsity=0.9 sets another fraction. The learning rate falls
  linearly to 0 (arXiv:2111.00843), so that the weights that remain recover.
* rotnet trains the encoder up to the second block and a further block after it, by the
  schedule of RotNet's convolutional classifier (arXiv:1803.07728, table 3: 92.17 % with
  all labels of CIFAR-10).
* last_stage is for a ResNet-20. It freezes all layers before the last stage.
* transfer trains everything on another data set, for 20,000 steps at any size of the
  set, at each of 7 learning rates x 8 weight decays. scratch trains the same network
  from a random start, for 40,000 steps at 56 other settings (arXiv:2002.05709, B.8).
  The setting that is best on validation images is trained again with these images.
  configs/studies/transfer.py uses both presets.

With `label_subset.repeat` the labelled images are repeated until there are as many as
training images, so an epoch has as many steps as with all labels (RotNet's rule).
Without it, an epoch is one pass over the labelled images, floor(n / batch) steps. This
can be too few steps: 60 passes over the 450 images of 1 % of CIFAR-10 are 180 steps.

Only grids choose a setting by the validation split. It is cut in all cases, so that
figures are comparable.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs import compress

PRESETS = ('simclr', 'prune', 'rotnet', 'last_stage', 'transfer', 'scratch')


def get_config(preset: str = 'simclr') -> ConfigDict:
  return (_transfer if preset in ('transfer', 'scratch') else _one_run)(preset)


def _one_run(preset: str) -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.head = dict(name='linear')
  c.features = dict(endpoint='pooled', pool='mean', batch_size=512)
  c.feed = dict(batch_size=128)
  # The first stage that is trained: 'head' trains only the classifier, None all stages.
  c.freeze_until = placeholder(str)
  c.layer_decay = 1.0  # multiplies the rate once per stage away from the head
  if preset in ('simclr', 'prune'):
    c.augment = dict(recipe='crop_flip')  # size and normalisation are the encoder's
    c.optim = dict(
        name='sgd', learning_rate=0.05, learning_rate_scaling='linear',
        schedule='cosine', warmup_epochs=0., weight_decay=0.)
    c.train = dict(epochs=60., precision='auto')
  else:
    c.augment = dict(recipe='rotnet')
    c.optim = dict(
        name='sgd', learning_rate=0.1, learning_rate_scaling='none',
        schedule='step', boundaries_epochs=(30., 60., 80.), factor=0.2,
        weight_decay=5e-4, weight_decay_mask='all')
    c.train = dict(epochs=90., precision='auto')
  if preset == 'prune':
    c.optim.schedule = 'linear'
    c.compression = compress.get_config('prune95').compression
  elif preset == 'rotnet':
    c.head.name = 'conv_block'
    c.features.update(endpoint='block2', pool='none')
    c.optim.boundaries_epochs = (35., 70., 85.)
    c.train.epochs = 100.
  elif preset == 'last_stage':
    c.freeze_until = 'stage3'
  c.data = _data(label_subset=dict(fraction=0.01, seed=0, repeat=True))
  c.log = dict(every_steps=50, checkpoint_every_epochs=10.)
  return c


def _data(label_subset: dict | None = None) -> ConfigDict:
  return ConfigDict(dict(            # None is the encoder's value
      name=placeholder(str), data_dir=placeholder(str), image_size=placeholder(int),
      validation_fraction=0.1, label_subset=label_subset or placeholder(dict)))


def _transfer(preset: str) -> ConfigDict:
  c, scratch = _one_run('simclr'), preset == 'scratch'
  c.feed.batch_size = 256
  c.optim.learning_rate_scaling = 'none'
  c.train = dict(steps=40_000 if scratch else 20_000, precision='auto')
  c.bn_momentum = 'auto'     # max(1 - 10 / steps of an epoch, 0.9)
  c.from_scratch = scratch
  c.score = 'top1'           # the criterion; or mean_per_class
  if scratch:
    c.grid = dict(learning_rates=_logspace(-3, 0, 7),
                  weight_decays=_logspace(-5, -1.5, 8))
  else:
    c.grid = dict(learning_rates=_logspace(-4, -1, 7),
                  weight_decays=(0., *_logspace(-6, -3, 7)))
  c.data = _data()
  c.log = dict(every_steps=100, checkpoint_every_epochs=0.)
  return c


def _logspace(low: float, high: float, count: int) -> tuple[float, ...]:
  """Returns `count` powers of ten, evenly spaced in the exponent."""
  return tuple(10**(low + i * (high - low) / (count - 1)) for i in range(count))
