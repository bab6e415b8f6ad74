"""Compares ways to prune a SimCLR encoder of CIFAR-10, in hours of two CPU cores.

    python -m ssl_jax.study --config=configs/studies/compression_cifar10_cpu.py \\
        --workdir=runs/compression_cpu
    python -m ssl_jax.study --config=configs/studies/compression_cifar10_cpu.py \\
        --config.methods.simclr.checkpoint=runs/cpu16 --workdir=runs/compression_cpu

The second command starts all seeds from one encoder that was trained before.

The study is compression_cifar10.py at the size of a CPU. A ResNet-20, trained on views
of 16 px for 10 epochs, is pruned to 70, 90, 95 and 99 % by both protocols, and
fine-tuned with 1 and 100 % of the labels. At 95 and 99 % it is also pruned on the
pretext task while it imitates the features of the dense encoder
(`compression.distillation`). Each training after the first has one epoch; the images of
1 % of the labels are repeated to fill it. docs/results.md has the results.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs import compress, finetune, simclr_cifar10_cpu
from configs.studies import building_blocks as blocks

SPARSITIES = (70, 90, 95, 99)  # in %
DISTILLED = (95, 99)           # in %
RANDOM = 95                    # sparsity of the random masks, in %
LABELS_PER_CLASS = {'1pct': 50, '100pct': None}


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'compression_cifar10_cpu'
  c.title = 'A SimCLR encoder, pruned and quantized'
  c.description = (
      'A ResNet-20, trained by SimCLR on views of 16 px, pruned to 70, 90, 95 and 99 % '
      'and quantized to 6 bits: during the fine-tuning on labelled images, or before '
      'it, on the pretext task with all images. Both have the same number of epochs.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  c.methods = ConfigDict(_methods(), sort_keys=False)
  c.evaluations = ConfigDict(_evaluations(), sort_keys=False)
  c.display_names = _display_names()
  return c


def _methods() -> dict[str, ConfigDict]:
  """Returns the trained encoder, and what one further epoch makes of it."""
  dense = _further('quantize')
  dense.compression.bits = None  # dense, and in float32
  simclr = simclr_cifar10_cpu.get_config('px16')
  simclr.checkpoint = placeholder(str)
  methods = dict(simclr=simclr, resnet20=dense)
  for s in SPARSITIES:
    methods[f'pretext{s}'] = _further(f'prune{s}')
  for s in DISTILLED:
    methods[f'distilled{s}'] = _further(f'prune{s}')
    methods[f'distilled{s}'].compression.distillation = 1.
  return methods


def _further(preset: str) -> ConfigDict:
  """Returns an epoch of the pretext task that starts from the trained encoder."""
  c = compress.get_config(preset)
  c.compressed_from = 'simclr'
  c.feed.batch_size = 125
  c.optim = dict(name='adam', learning_rate=1e-3, learning_rate_scaling='none',
                 schedule='linear', warmup_epochs=0.1, weight_decay=1e-6)
  c.train.epochs = 1.
  c.log = dict(every_steps=50, checkpoint_every_epochs=1.)
  return c


def _evaluations() -> dict[str, ConfigDict]:
  """Returns fine-tunings that differ in their compression only."""
  dense = _tuning(0)
  dense.compression = None
  random = _tuning(RANDOM)
  random.compression.criterion = 'random'
  evaluations = dict(dense=_by_labels(dense), quantize=_by_labels(_tuning(0)))
  for s in SPARSITIES:
    distilled = [f'distilled{s}'] if s in DISTILLED else []
    evaluations[f'prune{s}'] = _by_labels(_tuning(s), f'pretext{s}', *distilled)
  return {**evaluations, f'random{RANDOM}': _by_labels(random)}


def _tuning(percent: int) -> ConfigDict:
  """Returns a fine-tuning that prunes; it has an epoch of all images."""
  c = finetune.get_config('prune')
  c.compression.sparsity = percent / 100
  c.train.epochs = 1.
  return c


def _by_labels(evaluation: ConfigDict, *methods: str) -> ConfigDict:
  return blocks.by_labels(evaluation, 'resnet20', *methods, columns=LABELS_PER_CLASS)


def _display_names() -> dict[str, str]:
  names = {'simclr': 'SimCLR, 10 epochs', 'resnet20': 'ResNet-20', 'dense': 'float32',
           'quantize': '6 bits', f'random{RANDOM}': f'random masks, {RANDOM} %',
           **{f'prune{s}': f'pruned {s} %' for s in SPARSITIES}}
  for s in SPARSITIES:
    names[f'pretext{s}'] = f'ResNet-20, pretext task {s} %'
    names[f'pretext{s}/prune{s}'] = f'ResNet-20, pruned {s} % on the pretext task'
  for s in DISTILLED:
    names[f'distilled{s}'] = f'ResNet-20, pretext task with distillation {s} %'
    names[f'distilled{s}/prune{s}'] = (
        f'ResNet-20, pruned {s} % on the pretext task with distillation')
  return names
