"""Measures linear accuracy of SimCLR by batch size and epochs, in a heat map.

    python -m ssl_jax.study --config=configs/studies/batch_size_by_epochs.py \\
        --workdir=runs/batch_size_by_epochs

A seed trains 20 encoders: ResNet-50 with batches of 256 to 4096 images, each for 100 to
1000 epochs with its own schedule. The rest of the recipe is that of
configs/simclr_cifar10.py:resnet50. The study follows a figure of Mac Gray, Dany Jabban,
Zeyu (Michael) Li, "A Comparison of Representation Learning Methods", course report,
which has no numbers. That figure follows figure B.7 of arXiv:2002.05709, which averages
three learning rates; this study has one.

Hardware: several GPUs or a TPU slice. The time has not been measured. A seed has 9,500
epochs of CIFAR-10, which is 9.5 times a pre-training of 1000 epochs. Use --scale=0.01
on a CPU.
"""

from ml_collections import ConfigDict

from configs import evaluate, simclr_cifar10

BATCHES = 256, 512, 1024, 2048, 4096
EPOCHS = 100, 300, 500, 1000


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'batch_size_by_epochs'
  c.title = 'SimCLR: batch size and epochs'
  c.description = (
      'ResNet-50 on CIFAR-10. Rows: images in a batch; columns: epochs of '
      'pre-training, each with a schedule of its own.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  cells = {f'batch{batch}_epochs{epochs}': (i, j) for i, batch in enumerate(BATCHES)
           for j, epochs in enumerate(EPOCHS)}
  c.methods = ConfigDict({name: _simclr(BATCHES[i], EPOCHS[j])
                          for name, (i, j) in cells.items()}, sort_keys=False)
  c.evaluations = dict(linear=evaluate.get_config('linear'))
  c.heatmap = dict(
      axes=tuple(f'batch {n}' for n in BATCHES),
      columns=tuple(f'{n} epochs' for n in EPOCHS),
      cells={name: list(place) for name, place in cells.items()})
  return c


def _simclr(batch: int, epochs: int) -> ConfigDict:
  c = simclr_cifar10.get_config('resnet50')
  c.feed.batch_size, c.train.epochs = batch, float(epochs)
  return c
