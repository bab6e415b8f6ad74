"""Measures transfer to other data sets: linear, fine-tuned and from scratch.

    python -m ssl_jax.study --config=configs/studies/transfer.py \\
        --workdir=runs/transfer
    python -m ssl_jax.study --config=configs/studies/transfer.py:cifar10,food101 \\
        --config.methods.simclr.checkpoint=runs/simclr_imagenet --workdir=runs/transfer

The names after the colon are data sets of TFDS, `digits`, or folder:/path. Each data
set of PUBLISHED has a label, the score that its literature uses and the published
figures of ResNet-50. The default is those of them that TFDS can prepare. TFDS cannot
prepare Birdsnap and FGVC-Aircraft. Get them as folders and convert them by
`prepare_data --dataset=folder --source=/path --name=birdsnap`. Pascal VOC 2007, the
twelfth data set of the paper, has several labels per image and cannot be used. A data
set that is not prepared fails alone and names the command that prepares it.

The protocol is that of Chen et al. 2020, arXiv:2002.05709, B.8:

* linear: logistic regression on central crops of 224 pixels, with 45 strengths.
* fine-tuned: 20,000 steps at each of 7 learning rates x 8 weight decays.
* from scratch: 40,000 steps at 56 other settings.

Crops are cut from the whole image if the encoder was trained with `data.canvas`, as
here. Every setting is chosen on validation images (a tenth of train if the data set has
no such split), trained again with these images, and tested once. For an encoder of
small images, give their size: --config.evaluations.linear.data.image_size=32.

Hardware: a TPU slice, or many GPUs. For each data set, the 56 settings of fine-tuning
see as many images as 224 epochs of ImageNet, and those from scratch as many as 448
epochs. A smaller grid is possible, for example
--config.evaluations.finetune.grid.learning_rates='(0.003,0.01,0.03)'. The time has not
been measured. On a CPU, give a checkpoint of a small encoder and --scale=0.05.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from configs import evaluate, finetune, simclr_imagenet

PUBLISHED = {  # label, score, and in %: linear, fine-tuned, from scratch
    'food101': ('Food-101', 'top1', (68.4, 88.2, 86.9)),
    'cifar10': ('CIFAR-10', 'top1', (90.6, 97.7, 95.9)),
    'cifar100': ('CIFAR-100', 'top1', (71.6, 85.9, 80.2)),
    'birdsnap': ('Birdsnap', 'top1', (37.4, 75.9, 76.1)),
    'sun397': ('SUN397', 'top1', (58.8, 63.5, 53.6)),
    'cars196': ('Stanford Cars', 'top1', (50.3, 91.3, 91.4)),
    'fgvc_aircraft': ('FGVC-Aircraft', 'mean_per_class', (50.3, 88.1, 85.9)),
    'dtd': ('DTD', 'top1', (74.5, 73.2, 64.8)),
    'oxford_iiit_pet': ('Oxford-IIIT Pets', 'mean_per_class', (83.6, 89.2, 81.5)),
    'caltech101': ('Caltech-101', 'mean_per_class', (90.3, 92.1, 72.6)),
    'oxford_flowers102': ('Oxford Flowers-102', 'mean_per_class', (91.2, 97.0, 92.0)),
}
PROTOCOLS = ('linear', 'finetune', 'scratch')
FIRST_SPLIT = {'sun397': 'sun397/standard-part1-120k'}  # not the default of TFDS
NOT_IN_TFDS = ('birdsnap', 'fgvc_aircraft')


def get_config(names: str = '') -> ConfigDict:
  names = names.split(',') if names else [n for n in PUBLISHED if n not in NOT_IN_TFDS]
  for name in names:
    if name.partition('/')[0] == 'voc':
      raise ValueError(f'{name!r} has several labels to an image, and a classifier '
                       'needs one; leave it out')
  columns = {_column(name): name for name in names}
  c = ConfigDict()
  c.name = 'transfer'
  c.title = 'Transfer to other data sets'
  c.description = (
      'An encoder pre-trained without labels, on data sets that it has not seen: '
      'frozen below logistic regression, and fine-tuned. The same architecture is also '
      'trained from scratch.')
  c.data_label = ', '.join(_label(name) for name in names)
  c.seeds = (0,)
  simclr = simclr_imagenet.get_config('resnet50')
  simclr.train.epochs = 1000.
  simclr.checkpoint = placeholder(str)  # replaces pre-training; may contain {seed}
  c.methods = ConfigDict(dict(simclr=simclr), sort_keys=False)
  c.evaluations = ConfigDict(
      dict(linear=_linear(columns), finetune=_tuned(columns, 'transfer'),
           scratch=_tuned(columns, 'scratch')), sort_keys=False)
  c.display_names = dict(
      {column: _label(name) for column, name in columns.items()}, simclr='SimCLR',
      linear='Linear', finetune='Fine-tuned', scratch='From scratch')
  c.display_names['simclr/scratch'] = 'From scratch'  # it contains no SimCLR
  c.published = tuple(
      dict(method='simclr', evaluation=f'{group}_{column}', value=value,
           source='arXiv:2002.05709, table B.5, ResNet-50 on ImageNet')
      for column, name in columns.items() if name in PUBLISHED
      for group, value in zip(PROTOCOLS, PUBLISHED[name][2], strict=True))
  return c


def _linear(columns: dict[str, str]) -> ConfigDict:
  c = evaluate.get_config('logistic')
  c.preprocess = dict(proportion=1.0)
  c.data.image_size = 224  # bicubic, from the central square
  c.data.canvas = False
  return _on(c, columns, lambda score: dict(protocol=dict(score=score)))


def _tuned(columns: dict[str, str], preset: str) -> ConfigDict:
  return _on(finetune.get_config(preset), columns, lambda score: dict(score=score))


def _on(c: ConfigDict, columns: dict[str, str], scored) -> ConfigDict:
  """Repeats an evaluation on every data set, each with its own score.

  Args:
    c: The evaluation, which is changed.
    columns: Names of data sets by column.
    scored: Returns the fields of an evaluation that set a score.
  """
  c.data_sets = ConfigDict(
      {column: dict(data=dict(name=FIRST_SPLIT.get(name, name)),
                    **scored(PUBLISHED.get(name, (name, 'top1'))[1]))
       for column, name in columns.items()}, sort_keys=False)
  return c


def _label(name: str) -> str:
  if name.startswith('folder:'):
    return name.rpartition('/')[2]
  return PUBLISHED.get(name, (name,))[0]


def _column(name: str) -> str:
  """Returns a data set's name with only letters, digits and underscores."""
  return ''.join(c if c.isalnum() else '_' for c in name).strip('_')
