"""Compares two ways to prune SimCLR encoders, at 0 to 99 % sparsity, on CIFAR-10.

    python -m ssl_jax.study --config=configs/studies/compression_cifar10.py \\
        --workdir=runs/compression

The study follows the rows on compression in the first table of Mac Gray, Dany Jabban,
Zeyu (Michael) Li, "A Comparison of Representation Learning Methods", course report: a
ResNet-50 and one of twice the width, pruned globally to 70, 90, 95 and 99 %, 6 bits,
with 1, 10, 20 and 100 % of the labels. That report prunes during the fine-tuning. Here
two protocols are compared:

* fine-tuning: the encoder is trained by SimCLR for 1000 and 100 more epochs, and pruned
  during the fine-tuning on the labelled images;
* pretext task: it is trained by SimCLR for 1000 epochs, pruned during 100 more epochs
  of SimCLR on all images without labels, and fine-tuned with the pruned weights at 0.

Both have the same number of epochs of either kind, and the same optimizers. Further
rows are the dense network in float32 and in 6 bits, random masks at 95 %, and a dense
ResNet-50 of a quarter of the width in 6 bits, whose file has about as many bytes as a
ResNet-50 at 97 %. Every accuracy of a compressed network is that of its file
network.packed, whose weights are compared bit for bit with those that are scored.

Hardware: several GPUs or a TPU slice. The time has not been measured. Use --scale=0.01
on a CPU.
"""

from ml_collections import ConfigDict

from configs import compress, finetune, simclr_cifar10
from configs.studies import building_blocks as blocks

SPARSITIES = (70, 90, 95, 99)  # in %
NETWORKS = {'resnet50': 'ResNet-50', 'resnet50x2': 'ResNet-50 (2x)'}
QUARTER = 'resnet50_quarter'
RANDOM = 95                    # sparsity of the random masks, in %
PUBLISHED = {  # in %, by column
    ('resnet50', 'dense'): (89.4, 92.0, 92.3, 94.1),
    ('resnet50', 'prune70'): (88.5, 91.3, 91.6, 93.8),
    ('resnet50', 'prune90'): (73.0, 85.2, 85.7, 91.2),
    ('resnet50', 'prune95'): (35.7, 69.6, 70.6, 87.6),
    ('resnet50', 'prune99'): (13.7, 23.0, 23.1, 64.0),
    ('resnet50x2', 'dense'): (90.0, 92.4, 92.8, 94.7),
    ('resnet50x2', 'prune70'): (89.4, 91.8, 92.4, 94.3),
    ('resnet50x2', 'prune90'): (83.2, 88.8, 89.8, 93.1),
    ('resnet50x2', 'prune95'): (52.1, 81.3, 81.9, 90.8),
    ('resnet50x2', 'prune99'): (14.8, 25.0, 30.3, 73.3),
}


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'compression_cifar10'
  c.title = 'SimCLR encoders, pruned and quantized'
  c.description = (
      'SimCLR encoders of two widths, pruned to 70, 90, 95 and 99 % and quantized to 6 '
      'bits: during the fine-tuning on labelled images, or before it, on the pretext '
      'task with all images. Both have the same number of epochs.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  c.methods = ConfigDict(_methods(), sort_keys=False)
  c.evaluations = ConfigDict(_evaluations(), sort_keys=False)
  c.display_names = _display_names()
  c.published = blocks.published(blocks.GRAY, blocks.LABELS_PER_CLASS, PUBLISHED)
  return c


def _methods() -> dict[str, ConfigDict]:
  """Returns SimCLR at each width, and what 100 further epochs make of it."""
  quarter = simclr_cifar10.get_config('resnet50')
  quarter.model.width = 0.25
  simclr = {name: simclr_cifar10.get_config(name) for name in NETWORKS}
  methods = {}
  for name, config in {**simclr, QUARTER: quarter}.items():
    methods[f'simclr_{name}'] = config
    methods[name] = _further(name, 'quantize')
    methods[name].compression.bits = None  # dense, and in float32
    if name != QUARTER:
      methods |= {f'{name}_prune{s}': _further(name, f'prune{s}') for s in SPARSITIES}
  return methods


def _further(name: str, preset: str) -> ConfigDict:
  """Returns 100 epochs of the pretext task that start from a trained encoder."""
  c = compress.get_config(preset)
  c.compressed_from = f'simclr_{name}'
  return c


def _evaluations() -> dict[str, ConfigDict]:
  """Returns fine-tunings that differ in their compression only."""
  networks = tuple(NETWORKS)
  dense = finetune.get_config('prune')
  dense.compression = None
  evaluations = dict(
      dense=_by_labels(dense, *networks),
      quantize=_by_labels(_pruning(0), *networks, QUARTER))
  for s in SPARSITIES:
    evaluations[f'prune{s}'] = _by_labels(
        _pruning(s), *networks, *(f'{name}_prune{s}' for name in networks))
  random = _pruning(RANDOM)
  random.compression.criterion = 'random'
  return {**evaluations, f'random{RANDOM}': _by_labels(random, *networks)}


def _pruning(percent: int) -> ConfigDict:
  c = finetune.get_config('prune')
  c.compression.sparsity = percent / 100
  return c


def _by_labels(evaluation: ConfigDict, *methods: str) -> ConfigDict:
  return blocks.by_labels(evaluation, *methods, repeat=False)


def _display_names() -> dict[str, str]:
  names = {'dense': 'float32', 'quantize': '6 bits',
           f'random{RANDOM}': f'random masks, {RANDOM} %',
           f'simclr_{QUARTER}': 'SimCLR, ResNet-50 (1/4)', QUARTER: 'ResNet-50 (1/4)',
           **{f'prune{s}': f'pruned {s} %' for s in SPARSITIES}}
  for name, shown in NETWORKS.items():
    names |= {name: shown, f'simclr_{name}': f'SimCLR, {shown}'}
    for s in SPARSITIES:
      names[f'{name}_prune{s}'] = f'{shown}, pretext task {s} %'
      names[f'{name}_prune{s}/prune{s}'] = f'{shown}, pruned {s} % on the pretext task'
  return names
