"""SimCLR, a random encoder and a supervised one on the bundled digits.

    bash launch/quickstart.sh

Offline, minutes on two CPU cores. 1,438 training and 359 test images of handwritten
digits, 8 x 8, shown at 16 x 16; the encoder is a ResNet-8.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'quickstart'
  c.title = 'What SimCLR learns from 1,438 digits without a label'
  c.description = (
      'Three encoders of one architecture: pre-trained by SimCLR, left at its random '
      'initialisation, and trained with all labels. Frozen, they are compared by a '
      'linear probe and by kNN.')
  c.data_label = 'digits (scikit-learn), 16 x 16'
  c.rehearsal = False
  c.seeds = (0, 1, 2)
  simclr = _simclr()
  c.methods = ConfigDict(  # reported in this order
      dict(simclr=simclr, random=_random(simclr), supervised=_supervised(simclr)),
      sort_keys=False)
  c.labels = dict(simclr='SimCLR', random='Random encoder', supervised='Supervised')
  data = dict(validation_fraction=0.1)
  features = dict(endpoint='pooled', pool='mean', batch_size=480)
  c.evaluations = ConfigDict(dict(
      linear=dict(protocol=dict(name='linear'), features=features, data=data),
      knn=dict(protocol=dict(name='knn', k=20, temperature=0.1), features=features,
               data=data)), sort_keys=False)
  c.published = ()
  return c


def _simclr() -> ConfigDict:
  c = ConfigDict()
  c.data = dict(name='digits', image_size=16, channels=1)
  c.feed = dict(batch_size=240)
  # No flip: a mirrored digit is another shape.
  c.augment = dict(recipe='simclr_v2', strength=0.5, area=(0.3, 1.0), flip_p=0.0)
  c.method = dict(name='simclr', temperature=0.2)
  c.model = dict(name='resnet8')
  c.projector = dict(layers=2, dim=64)
  c.optim = dict(name='adamw', learning_rate=5e-3, learning_rate_scaling='none',
                 schedule='cosine', warmup_epochs=2., weight_decay=1e-4)
  c.train = dict(epochs=40., knn_every_epochs=0.)
  c.log = dict(every_steps=10, checkpoint_every_epochs=0., tensorboard=False)
  return c


def _random(simclr: ConfigDict) -> ConfigDict:
  c = simclr.copy_and_resolve_references()
  c.train.epochs = 0.
  c.optim.warmup_epochs = 0.
  return c


def _supervised(simclr: ConfigDict) -> ConfigDict:
  c = simclr.copy_and_resolve_references()
  c.method = dict(name='supervised')
  return c
