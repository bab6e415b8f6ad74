"""Report C's heat map: SimCLR with every pair of augmentations, 10 epochs each.

    python -m ssl_jax.study --config=configs/studies/report_c_augmentations.py \\
        --workdir=runs/report_c_augmentations

28 encoders a seed: 21 pairs of crop (with flip), rotation, colour distortion, blur,
cutout, Sobel and noise, and on the diagonal each alone. The report has four of them
(the first); the SimCLR paper all (arXiv:2002.05709, figure 5, on ImageNet and on one of
two views; here on both). The report's figures are not known here.

Hardware: one GPU. Time: not measured. On a CPU: --scale=0.01.
"""

from ml_collections import ConfigDict

from configs import evaluate
from configs.studies import report_c

OPERATIONS = {  # in the order in which a view is made
    'crop': ('crop', 'flip'),
    'rotation': ('rotation',),
    'colour': (('color', {'strength': 0.5}),),
    'blur': ('blur',),
    'cutout': ('cutout',),
    'sobel': ('sobel',),
    'noise': ('noise',),
}


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'report_c_augmentations'
  c.title = 'SimCLR: which augmentations'
  c.description = (
      'ResNet-50, 10 epochs on CIFAR-10, batch 32; views are made by two operations, '
      'on the diagonal by one.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  axes = tuple(OPERATIONS)
  pairs = [(a, b) for i, a in enumerate(axes) for b in axes[i:]]
  name = lambda pair: '_'.join(dict.fromkeys(pair))  # 'crop', 'crop_colour'
  c.methods = ConfigDict({name(pair): _simclr(*pair) for pair in pairs},
                         sort_keys=False)
  c.evaluations = ConfigDict(
      dict(linear=evaluate.get_config('linear'), nearest=report_c.nearest()),
      sort_keys=False)
  c.heatmap = dict(axes=axes, cells={
      name(pair): [axes.index(operation) for operation in pair] for pair in pairs})
  return c


def _simclr(first: str, second: str) -> ConfigDict:
  c = report_c.report_simclr(10.)
  operations = dict.fromkeys((first, second))
  c.augment = dict(recipe='compose', ops=tuple(
      op for operation in operations for op in OPERATIONS[operation]))
  return c
