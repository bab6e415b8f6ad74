"""Compares all pairs of augmentations for SimCLR, 10 epochs each, in a heat map.

    python -m ssl_jax.study --config=configs/studies/augmentation_pairs.py \\
        --workdir=runs/augmentation_pairs

A seed trains 28 encoders: one for each of the 21 pairs of crop (with flip), rotation,
colour distortion, blur, cutout, Sobel and noise, and, on the diagonal, one for each
alone. The report that this study follows (see simclr_nearest_neighbour.py) has the
first four augmentations, and its figures are not known. The SimCLR paper has all seven
(arXiv:2002.05709, figure 5), on ImageNet and on one of the two views; here both views
are augmented.

Hardware: one GPU. The time has not been measured. Use --scale=0.01 on a CPU.
"""

from ml_collections import ConfigDict

from configs import evaluate
from configs.studies import simclr_nearest_neighbour as base

OPERATIONS = {  # in the order of application
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
  c.name = 'augmentation_pairs'
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
      dict(linear=evaluate.get_config('linear'), nn1=base.nn1()),
      sort_keys=False)
  c.heatmap = dict(axes=axes, cells={
      name(pair): [axes.index(operation) for operation in pair] for pair in pairs})
  return c


def _simclr(first: str, second: str) -> ConfigDict:
  c = base.short_simclr(10.)
  operations = dict.fromkeys((first, second))
  c.augment = dict(recipe='compose', ops=tuple(
      op for operation in operations for op in OPERATIONS[operation]))
  return c
