"""Provides what the studies of this folder share: encoders, evaluations, citations."""

from ml_collections import ConfigDict

from configs import finetune, linear_probe, supervised_cifar10

# Labelled images per class (CIFAR-10 has 5,000) by column of a table; None is all.
LABELS_PER_CLASS = {'1pct': 50, '10pct': 500, '20pct': 1000, '100pct': None}
# The reports that these configs follow. None is published at a known address.
GRAY = ('Gray, Jabban and Li, "A Comparison of Representation Learning Methods", '
        'course report')
DAI = ('Dai, Harutyunyan and Saikia, "Self-Supervised Learning with SimCLR and '
       'RotNet", Duke University')
SILVA_GUERRA = ('da Silva Guerra, Alves de Melo and de Menezes Mota, "Project 2" '
                '(reproduction of SimCLR), MO433, UNICAMP')
POSTER = ('poster comparing SimCLR and RotNet with their supervised counterparts on '
          'CIFAR-10, authors not stated')


def untrained(method: ConfigDict) -> ConfigDict:
  """Returns a pre-training config whose encoder stays randomly initialised."""
  c = method.copy_and_resolve_references()
  c.train.epochs = 0.
  return c


def only(evaluation: ConfigDict, *methods: str) -> ConfigDict:
  """Restricts an evaluation to `methods` and keeps all of train for training.

  No setting is chosen, so no validation split is needed.
  """
  evaluation.methods = methods
  evaluation.data.validation_fraction = 0.
  return evaluation


def by_labels(evaluation: ConfigDict, *methods: str, columns=LABELS_PER_CLASS,
              repeat: bool = True) -> ConfigDict:
  """Repeats an evaluation for every label subset.

  Args:
    evaluation: The config, which is changed.
    *methods: The methods that are evaluated.
    columns: Labelled images per class by column; None is all.
    repeat: Whether an epoch of a subset has as many steps as one of all labels.
  """
  evaluation.subsets = ConfigDict({
      column: k and dict(per_class=k, repeat=repeat) for column, k in columns.items()},
      sort_keys=False)
  return only(evaluation, *methods)


def on_block(head: str, block: int) -> ConfigDict:
  """Returns a probe on an early feature map of RotNet, with all labels."""
  c = only(linear_probe.get_config(head), 'rotnet')
  c.features.endpoint = f'block{block}'
  c.features.pool = 'none' if head == 'conv_block' else 'flatten'
  return c


def from_scratch(model: str) -> ConfigDict:
  """Returns a fine-tuning config with the recipe of configs/supervised_cifar10.py.

  On an untrained encoder it is a supervised baseline.
  """
  c, supervised = finetune.get_config('simclr'), supervised_cifar10.get_config(model)
  for section in ('feed', 'augment', 'optim', 'train'):
    c[section] = supervised[section]
  return c


def published(source: str, columns, figures) -> tuple[dict, ...]:
  """Returns one record per published figure.

  Args:
    source: The citation.
    columns: The names of the columns.
    figures: {(method, group): percentages by column}.
  """
  return tuple(
      dict(method=method, evaluation=f'{group}_{column}', value=value, source=source)
      for (method, group), values in figures.items()
      for column, value in zip(columns, values, strict=True))
