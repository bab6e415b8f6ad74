"""Compares BYOL, SimSiam and a random encoder on CIFAR-10, small enough for a CPU.

    python -m ssl_jax.study --config=configs/studies/byol_simsiam_cifar10_cpu.py \\
        --workdir=runs/byol_simsiam_cpu

The encoder is a ResNet-8 of a quarter of the width. It is trained on views of 16 px for
two epochs, with three seeds. A pre-training run takes about 1 minute of one CPU core.
docs/results.md has the results.
"""

from ml_collections import ConfigDict

from configs import byol_cifar10, evaluate, pictures, simsiam_cifar10

EPOCHS = 2.


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'byol_simsiam_cifar10_cpu'
  c.title = 'BYOL and SimSiam on CIFAR-10 on a CPU'
  c.description = (
      'ResNet-8 of a quarter of the width, pre-trained for two epochs on views of '
      '16 px, against the same encoder at its random initialisation.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  byol = _small(byol_cifar10.get_config())
  byol.projector.hidden = byol.predictor.hidden = 512
  byol.projector.dim = 128
  simsiam = _small(simsiam_cifar10.get_config())
  simsiam.projector.hidden = simsiam.projector.dim = 512
  simsiam.predictor.hidden = 128
  random = simsiam.copy_and_resolve_references()
  random.train.epochs = 0.
  c.methods = ConfigDict(dict(byol=byol, simsiam=simsiam, random=random),
                         sort_keys=False)  # reported in this order
  c.display_names = dict(byol='BYOL', simsiam='SimSiam', random='Random encoder')
  c.pictures = pictures.get_config()
  c.evaluations = ConfigDict(
      dict(knn=evaluate.get_config('knn')), sort_keys=False)
  return c


def _small(c: ConfigDict) -> ConfigDict:
  """Returns `c` with a small encoder, small views, Adam and a small batch."""
  del c.seed
  c.augment.size = 16
  c.model = dict(name='resnet8', width=0.25)
  c.feed.batch_size = 125
  c.optim = dict(
      name='adam', learning_rate=1e-3, learning_rate_scaling='none', schedule='cosine',
      warmup_epochs=0.1, weight_decay=1e-6, constant=c.optim.get('constant', ()))
  c.train.epochs = EPOCHS
  c.train.knn_every_epochs = 0.
  c.log.checkpoint_every_epochs = 1.
  return c
