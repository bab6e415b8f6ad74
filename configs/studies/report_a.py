"""Report A: SimCLR and RotNet at 1, 10, 20 and 100 % of CIFAR-10's labels.

    python -m ssl_jax.study --config=configs/studies/report_a.py --workdir=runs/report_a
    python -m ssl_jax.study --config=configs/studies/report_a.py:best \\
        --workdir=runs/report_a_best

Published: the figures below; the table's SimCLR rows are taken to be fine-tuning. The
supervised rows train an untrained encoder on the same labels. `report` has what the
report states: SimCLR with LARS, batch 256 to 4096, up to 1000 epochs (here 1024 and
1000, the best of arXiv:2002.05709, B.9), RotNet for 100 epochs as in its paper. `best`
has the 200 epochs of RotNet's code.

Hardware: several GPUs or a TPU slice. Time: not measured; others report 10 hours of one
A100 for one pre-training of ResNet-50, and the fine-tuning of a seed is longer. On a
CPU: --scale=0.01.
"""

from ml_collections import ConfigDict

from configs import (
    evaluate,
    finetune,
    linear_probe,
    rotnet_cifar10,
    simclr_cifar10,
    supervised_cifar10,
)

COLUMNS = {'1pct': 50, '10pct': 500, '20pct': 1000, '100pct': None}  # of a class
PUBLISHED = {  # in %, by column
    ('random_resnet50', 'supervised_resnet50'): (28.3, 48.6, 76.8, 95.9),
    ('random_nin', 'supervised_nin'): (53.5, 81.2, 86.1, 92.8),
    ('rotnet', 'conv_block'): (69.6, 83.7, 86.5, 91.1),
    ('rotnet', 'unfrozen'): (41.8, 75.7, 81.7, 92.1),
    ('simclr_resnet50', 'finetune'): (89.4, 92.0, 92.3, 94.1),
    ('simclr_resnet50x2', 'finetune'): (90.0, 92.4, 92.8, 94.7),
}


def get_config(preset: str = 'report') -> ConfigDict:
  if preset not in ('report', 'best'):
    raise ValueError(f'{preset!r} is not one of report, best')
  c = ConfigDict()
  c.name = f'report_a_{preset}'
  c.title = 'SimCLR and RotNet with few labels'
  c.description = (
      'Encoders learned without labels, then given 1, 10, 20 and 100 % of them: '
      'frozen below a linear or convolutional classifier, and fine-tuned; beside '
      'encoders trained on these labels alone.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  c.methods = ConfigDict(dict(
      simclr_resnet50=simclr_cifar10.get_config('resnet50'),
      simclr_resnet50x2=simclr_cifar10.get_config('resnet50x2'),
      rotnet=_rotnet(preset),
      random_resnet50=untrained(supervised_cifar10.get_config('resnet50')),
      random_nin=untrained(supervised_cifar10.get_config('nin'))), sort_keys=False)
  simclr = 'simclr_resnet50', 'simclr_resnet50x2'
  c.evaluations = ConfigDict(dict(
      linear=by_labels(linear_probe.get_config('linear'), *simclr),
      finetune=by_labels(finetune.get_config('simclr'), *simclr, repeat=False),
      conv_block=by_labels(linear_probe.get_config('conv_block'), 'rotnet'),
      unfrozen=by_labels(finetune.get_config('rotnet'), 'rotnet'),
      supervised_resnet50=by_labels(from_scratch('resnet50'), 'random_resnet50'),
      supervised_nin=by_labels(from_scratch('nin'), 'random_nin'),
      linear_block1=on_block('linear', 1), linear_block2=on_block('linear', 2),
      mlp_block1=on_block('mlp', 1), mlp_block2=on_block('mlp', 2),
      rotation=only(evaluate.get_config('rotation'), 'rotnet')), sort_keys=False)
  c.labels = {
      'simclr_resnet50': 'SimCLR, ResNet-50', 'rotnet': 'RotNet, NIN',
      'simclr_resnet50x2': 'SimCLR, ResNet-50 (2x)',
      'random_resnet50': 'Untrained ResNet-50', 'random_nin': 'Untrained NIN',
      'random_resnet50/supervised_resnet50': 'Supervised, ResNet-50',
      'random_nin/supervised_nin': 'Supervised, NIN',
      'rotnet/conv_block': 'RotNet, NIN, frozen',
      'rotnet/unfrozen': 'RotNet, NIN, unfrozen',
      'supervised_resnet50': 'Supervised', 'supervised_nin': 'Supervised',
      'unfrozen': 'Fine-tuned from block 2',
      'linear_block1': 'Linear, block 1', 'linear_block2': 'Linear, block 2',
      'mlp_block1': 'MLP, block 1', 'mlp_block2': 'MLP, block 2'}
  c.published = published('report A', COLUMNS, PUBLISHED)
  return c


def _rotnet(preset: str) -> ConfigDict:
  c = rotnet_cifar10.get_config()
  if preset == 'report':
    c.optim.boundaries_epochs = (30., 60., 80.)
    c.train.epochs = 100.
  return c


def untrained(method: ConfigDict) -> ConfigDict:
  """The encoder of a pre-training config at its random initialisation."""
  c = method.copy_and_resolve_references()
  c.train.epochs = 0.
  return c


def only(evaluation: ConfigDict, *methods: str) -> ConfigDict:
  """An evaluation of these methods that chooses nothing: all of train is train."""
  evaluation.methods = methods
  evaluation.data.validation_fraction = 0.
  return evaluation


def by_labels(evaluation: ConfigDict, *methods: str, columns=COLUMNS,
              repeat: bool = True) -> ConfigDict:
  """The same for every label subset; repeated, all have as many steps an epoch."""
  evaluation.subsets = ConfigDict({
      column: k and dict(per_class=k, repeat=repeat) for column, k in columns.items()},
      sort_keys=False)
  return only(evaluation, *methods)


def on_block(head: str, block: int) -> ConfigDict:
  """RotNet's probes of an early feature map, with all labels."""
  c = only(linear_probe.get_config(head), 'rotnet')
  c.features.endpoint = f'block{block}'
  c.features.pool = 'none' if head == 'conv_block' else 'flatten'
  return c


def from_scratch(model: str) -> ConfigDict:
  """Trains all of an untrained encoder as configs/supervised_cifar10.py does."""
  c, supervised = finetune.get_config('simclr'), supervised_cifar10.get_config(model)
  for section in ('feed', 'augment', 'optim', 'train'):
    c[section] = supervised[section]
  return c


def published(source: str, columns, figures) -> tuple[dict, ...]:
  """One record per figure of {(method, group): percentages by column}."""
  return tuple(
      dict(method=method, evaluation=f'{group}_{column}', value=value, source=source)
      for (method, group), values in figures.items()
      for column, value in zip(columns, values, strict=True))
