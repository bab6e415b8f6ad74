"""Varies batch size, optimizer and similarity of SimCLR, 10 epochs each.

    python -m ssl_jax.study --config=configs/studies/simclr_ablations.py \\
        --workdir=runs/simclr_ablations

Each method differs in one setting from batch 32 with Adam and cosine similarity. The
loss and the 1-NN accuracy of a validation split are logged and plotted over the epochs.
The report that this study follows (see simclr_nearest_neighbour.py) has curves and no
figures. LARS has SimCLR's linear rule, 0.3 x batch / 256. The dot product has the same
temperature as cosine similarity, 0.5.

Hardware: one GPU. The time has not been measured. Use --scale=0.01 on a CPU.
"""

from ml_collections import ConfigDict

from configs import evaluate
from configs.studies import simclr_nearest_neighbour as base


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'simclr_ablations'
  c.title = 'SimCLR: batch size, optimizer and similarity'
  c.description = (
      'ResNet-50, 10 epochs on CIFAR-10. Every method differs in one thing from '
      'batch 32 with Adam and cosine similarity.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  methods = {name: base.short_simclr(10.)
             for name in ('batch32', 'batch16', 'batch8', 'lars', 'dot')}
  methods['batch16'].feed.batch_size = 16
  methods['batch8'].feed.batch_size = 8
  methods['lars'].optim = dict(
      name='lars', learning_rate=0.3, learning_rate_scaling='linear',
      schedule='cosine', warmup_epochs=0., weight_decay=1e-6)
  methods['dot'].method.similarity = 'dot'
  c.methods = ConfigDict(methods, sort_keys=False)
  c.evaluations = ConfigDict(
      dict(nn1=base.nn1(), linear=evaluate.get_config('linear')),
      sort_keys=False)
  c.display_names = dict(batch32='Batch 32, Adam, cosine', batch16='Batch 16',
                  batch8='Batch 8', lars='LARS', dot='Dot product')
  return c
