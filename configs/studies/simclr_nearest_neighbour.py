"""Evaluates SimCLR with ResNet-50 on CIFAR-10 by nearest neighbour and linearly.

    python -m ssl_jax.study --config=configs/studies/simclr_nearest_neighbour.py \\
        --workdir=runs/simclr_nearest_neighbour
    python -m ssl_jax.study --config=configs/studies/simclr_nearest_neighbour.py:best \\
        --workdir=runs/simclr_nearest_neighbour_best

The study follows Joao Victor da Silva Guerra, Leonardo Alves de Melo, Marcos Felipe de
Menezes Mota, "Project 2" (reproduction of SimCLR), MO433, UNICAMP. Its figures are 74 %
by the nearest training image, and 77.18 % by logistic regression on all 60,000
representations, split 75/25 at random (77.19 % on the images that it was fitted to).

`published` has the encoder and the head of that report. The length, batch and learning
rate of its main run are not known. This config has 100 epochs of batch 32, the largest
batch of the report's ablations, with Adam at 3e-4. `best` is
configs/simclr_cifar10.py:resnet50, published with 94.0 % linear accuracy. The 1-NN
accuracy of a validation split is logged after every epoch. The ablations of the report
are in simclr_ablations.py and augmentation_pairs.py.

Hardware: one GPU. The time has not been measured. Use --scale=0.01 on a CPU.
"""

from ml_collections import ConfigDict

from configs import evaluate, simclr_cifar10
from configs.studies import building_blocks as blocks

PRESETS = ('published', 'best')


def get_config(preset: str = 'published') -> ConfigDict:
  c = ConfigDict()
  c.name = f'simclr_nearest_neighbour_{preset}'
  c.title = 'SimCLR with ResNet-50 on CIFAR-10'
  c.description = (
      'ResNet-50 pre-trained by SimCLR, against the same network at its random '
      'initialisation: the class of the nearest training image, and a linear map.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  simclr = short_simclr(100.) if preset == 'published' else _best()
  c.methods = ConfigDict(
      dict(simclr=simclr, random=blocks.untrained(simclr)), sort_keys=False)
  c.evaluations = ConfigDict(
      dict(nn1=nn1(), linear=evaluate.get_config('linear'),
           logistic_random_split=evaluate.get_config('logistic_random_split')),
      sort_keys=False)
  c.display_names = dict(simclr='SimCLR', random='Random encoder')
  c.published = tuple(
      dict(method='simclr', evaluation=evaluation, value=value,
           source=blocks.SILVA_GUERRA)
      for evaluation, value in (('nn1', 74.), ('logistic_random_split', 77.18)))
  return c


def short_simclr(epochs: float) -> ConfigDict:
  """Returns the report's encoder and head, from which its ablations start."""
  c = simclr_cifar10.get_config('resnet50')
  c.feed.batch_size = 32
  c.projector = dict(layers=2, hidden=512, dim=128, batch_norm=False)
  c.optim = dict(name='adam', learning_rate=3e-4, learning_rate_scaling='none',
                 schedule='cosine', warmup_epochs=0., weight_decay=1e-6)
  c.train.epochs = epochs
  c.train.knn_k = 1
  c.train.knn_every_epochs = 1.
  return c


def nn1() -> ConfigDict:
  """Returns a 1-NN evaluation in which all training images are neighbours.

  No setting is chosen, so no validation split is needed.
  """
  c = evaluate.get_config('nn1')
  c.data.validation_fraction = 0.
  return c


def _best() -> ConfigDict:
  c = simclr_cifar10.get_config('resnet50')
  c.train.knn_k = 1
  c.train.knn_every_epochs = 10.
  return c
