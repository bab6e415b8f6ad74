"""Prunes a trained encoder on its own task, and quantizes its weights to 6 bits.

    python -m ssl_jax.compress --checkpoint=runs/simclr --workdir=runs/simclr/prune95
    python -m ssl_jax.compress --checkpoint=runs/simclr \\
        --config=configs/compress.py:prune99 --workdir=runs/simclr/prune99
    python -m ssl_jax.finetune --checkpoint=runs/simclr/prune95 \\
        --config=configs/finetune.py:prune --workdir=runs/simclr/prune95/ft1

prune70, prune90, prune95 and prune99 set as many percent of the weights of the encoder
to zero; quantize sets none to zero. The last command fine-tunes a pruned encoder: its
zeros stay, and the new weights are quantized too. To prune during the fine-tuning
instead, give it the dense encoder, runs/simclr.

Data, augmentation, method and network are those of the encoder. The sparsity rises
along the cubic of Zhu & Gupta (arXiv:1710.01878) from 10 % to 60 % of the training.
Then the weights that remain recover, while the learning rate falls linearly to 0, as
Zimmer et al. advise for the training after pruning (arXiv:2111.00843). The learning
rate, the number of epochs and the floor have not been tuned.
"""

from ml_collections import ConfigDict

PRESETS = {'prune70': 0.7, 'prune90': 0.9, 'prune95': 0.95, 'prune99': 0.99,
           'quantize': 0.0}


def get_config(preset: str = 'prune95') -> ConfigDict:
  c = ConfigDict()
  c.seed = 0
  c.compression = dict(
      sparsity=PRESETS[preset], schedule='cubic', start=0.1, end=0.6, every=0.01,
      criterion='magnitude', floor=0.001, dense_stem=True, dense_head=True,
      bits=6, per='channel', distillation=0.)
  c.feed = dict(batch_size=512)        # images, not views; over all devices
  c.optim = dict(
      name='lars', learning_rate=0.3,
      learning_rate_scaling='linear',  # x batch / 256
      weight_decay=1e-4, schedule='linear', warmup_epochs=0.)
  c.train = dict(epochs=100., precision='auto', grad_cache_chunks=1,
                 online_probe=True, knn_every_epochs=0.)
  c.log = dict(every_steps=50, checkpoint_every_epochs=10.)
  return c
