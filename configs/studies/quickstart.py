"""Compares SimCLR, a random encoder and a supervised one on the bundled digits.

    bash launch/quickstart.sh

The study needs no network and takes minutes on two CPU cores. The data are 1,438
training and 359 test images of handwritten digits of 8 x 8 pixels, enlarged to 16 x 16.
The encoder is a ResNet-8.
"""

from ml_collections import ConfigDict

from configs import evaluate, pictures


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'quickstart'
  c.title = 'What SimCLR learns from 1,438 digits without a label'
  c.description = (
      'Three encoders of one architecture: pre-trained by SimCLR, left at its random '
      'initialisation, and trained with all labels. Frozen, they are compared by a '
      'linear probe and by kNN.')
  c.data_label = 'digits (scikit-learn), 16 x 16'
  c.seeds = (0, 1, 2)
  random, supervised = _simclr(), _simclr()
  random.train.epochs = 0.
  supervised.method = dict(name='supervised')
  c.methods = ConfigDict(  # reported in this order
      dict(simclr=_simclr(), random=random, supervised=supervised), sort_keys=False)
  c.display_names = dict(
      simclr='SimCLR', random='Random encoder', supervised='Supervised')
  c.evaluations = ConfigDict(
      dict(linear=evaluate.get_config('linear'), knn=evaluate.get_config('knn')),
      sort_keys=False)
  c.evaluations.knn.protocol.k = 20
  c.pictures = pictures.get_config()
  return c


def _simclr() -> ConfigDict:
  c = ConfigDict()
  c.data = dict(name='digits', image_size=16, channels=1)
  c.feed = dict(batch_size=240)
  # There is no flip, because a mirrored digit is another shape.
  c.augment = dict(recipe='simclr_v2', strength=0.5, area=(0.3, 1.0), flip_p=0.0)
  c.method = dict(name='simclr', temperature=0.2)
  c.model = dict(name='resnet8')
  c.projector = dict(layers=2, dim=64)
  c.optim = dict(name='adamw', learning_rate=5e-3, learning_rate_scaling='none',
                 schedule='cosine', warmup_epochs=2., weight_decay=1e-4)
  c.train = dict(epochs=40., knn_every_epochs=0.)
  c.log = dict(every_steps=10, checkpoint_every_epochs=0., tensorboard=False)
  return c
