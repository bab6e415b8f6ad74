"""Compares all methods and a random encoder on CIFAR-10, small enough for a CPU.

    python -m ssl_jax.study --config=configs/studies/methods_cifar10_cpu.py \\
        --workdir=runs/methods_cpu

The encoder is a ResNet-8 of a quarter of the width. It is trained on views of 16 px for
two epochs, with three seeds. A pre-training run takes one to two minutes of one CPU
core. The views and the objectives are those of configs/<method>_cifar10.py; the heads
and the queues are smaller, and the optimizer is Adam for all methods. docs/results.md
has the results.
"""

from ml_collections import ConfigDict

from configs import evaluate
from configs.studies import building_blocks as blocks
from configs.studies import methods_cifar10

EPOCHS = 2.


def get_config() -> ConfigDict:
  c = methods_cifar10.get_config('200')
  c.name = 'methods_cifar10_cpu'
  c.title = 'Methods of self-supervised learning on CIFAR-10, on a CPU'
  c.description = (
      'ResNet-8 of a quarter of the width, pre-trained for two epochs on views of '
      '16 px by each method, against the same encoder at its random initialisation.')
  for method in c.methods.values():
    _shrink(method)
  c.methods.random = blocks.untrained(c.methods.simclr)
  c.evaluations = ConfigDict(
      dict(linear=evaluate.get_config('linear'), knn=evaluate.get_config('knn')),
      sort_keys=False)
  return c


def _shrink(c: ConfigDict) -> None:
  """Makes encoder, heads, queue, views and batch small, and sets Adam."""
  c.augment.size = 16
  c.model = dict(name='resnet8', width=0.25)
  if 'projector' in c:
    c.projector.update(hidden=512, dim=min(c.projector.dim, 512))
  if 'predictor' in c:
    c.predictor.hidden = min(c.predictor.hidden, 512)
  if 'queue_size' in c.method:
    c.method.queue_size = 8192
  c.feed.batch_size = 125
  c.optim = dict(
      name='adam', learning_rate=1e-3, learning_rate_scaling='none', schedule='cosine',
      warmup_epochs=0.1, weight_decay=1e-6, constant=c.optim.get('constant', ()))
  c.train.epochs = EPOCHS
  c.train.knn_every_epochs = 0.
  c.log.checkpoint_every_epochs = 1.
