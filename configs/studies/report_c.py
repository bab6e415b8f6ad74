"""Report C: SimCLR with ResNet-50 on CIFAR-10, by nearest neighbour and linearly.

    python -m ssl_jax.study --config=configs/studies/report_c.py --workdir=runs/report_c
    python -m ssl_jax.study --config=configs/studies/report_c.py:best \\
        --workdir=runs/report_c_best

Published: 74 % by the nearest training image, 77.18 % by logistic regression on all
60,000 representations cut anew (77.19 on what it was fitted to). `report` has the
report's encoder and head; the length, batch and rate of its main run are not known
here: 100 epochs of batch 32, the largest of its ablations, with Adam at 3e-4. `best` is
configs/simclr_cifar10.py:resnet50, published with 94.0 % linear accuracy. The 1-NN
accuracy of a validation split is logged after every epoch. The ablations are
report_c_ablations.py and report_c_augmentations.py.

Hardware: one GPU. Time: not measured. On a CPU: --scale=0.01.
"""

from ml_collections import ConfigDict

from configs import evaluate, simclr_cifar10
from configs.studies import report_a


def get_config(preset: str = 'report') -> ConfigDict:
  if preset not in ('report', 'best'):
    raise ValueError(f'{preset!r} is not one of report, best')
  c = ConfigDict()
  c.name = f'report_c_{preset}'
  c.title = 'SimCLR with ResNet-50 on CIFAR-10'
  c.description = (
      'ResNet-50 pre-trained by SimCLR, against the same network at its random '
      'initialisation: the class of the nearest training image, and a linear map.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  simclr = report_simclr(100.) if preset == 'report' else _best()
  c.methods = ConfigDict(
      dict(simclr=simclr, random=report_a.untrained(simclr)), sort_keys=False)
  c.evaluations = ConfigDict(
      dict(nearest=nearest(), resplit=evaluate.get_config('resplit'),
           linear=evaluate.get_config('linear')), sort_keys=False)
  c.labels = dict(simclr='SimCLR', random='Random encoder')
  c.published = tuple(
      dict(method='simclr', evaluation=evaluation, value=value, source='report C')
      for evaluation, value in (('nearest', 74.), ('resplit', 77.18)))
  return c


def report_simclr(epochs: float) -> ConfigDict:
  """The report's encoder and head; its ablations start from here."""
  c = simclr_cifar10.get_config('resnet50')
  c.feed.batch_size = 32
  c.projector = dict(layers=2, hidden=512, dim=128, batch_norm=False)
  c.optim = dict(name='adam', learning_rate=3e-4, learning_rate_scaling='none',
                 schedule='cosine', warmup_epochs=0., weight_decay=1e-6)
  c.train.epochs = epochs
  c.train.knn_k = 1
  c.train.knn_every_epochs = 1.
  return c


def nearest() -> ConfigDict:
  """Chooses nothing, so all training images are neighbours."""
  c = evaluate.get_config('nearest')
  c.data.validation_fraction = 0.
  return c


def _best() -> ConfigDict:
  c = simclr_cifar10.get_config('resnet50')
  c.train.knn_k = 1
  c.train.knn_every_epochs = 10.
  return c
