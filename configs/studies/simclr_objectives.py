"""Compares NT-Xent with its alternatives in SimCLR's paper, at unit and any length.

    python -m ssl_jax.study --config=configs/studies/simclr_objectives.py \\
        --workdir=runs/simclr_objectives

The study follows Chen et al. 2020 (arXiv:2002.05709), tables 2 and 4: NT-Logistic and
margin triplet, each with all negatives and with semi-hard negatives. All five are also
trained on embeddings that are not scaled to unit length. The paper has these linear
accuracies for ResNet-50 on ImageNet: margin triplet 50.9, NT-Logistic 51.6, with
semi-hard negatives 57.5 and 57.9, NT-Xent 63.9 %. Here a ResNet-18 is trained on
CIFAR-10 for 100 epochs, with temperature and margin 0.5 for all; the paper tuned them.

Hardware: one GPU. The time has not been measured. Use --scale=0.01 on a CPU.
"""

from ml_collections import ConfigDict

from configs import evaluate, simclr_cifar10

OBJECTIVES = {
    'nt_xent': 'NT-Xent', 'nt_logistic': 'NT-Logistic',
    'margin_triplet': 'Margin triplet'}
LENGTHS = {'cosine': '', 'dot': ', any length'}


def get_config() -> ConfigDict:
  c = ConfigDict()
  c.name = 'simclr_objectives'
  c.title = 'SimCLR: objectives'
  c.description = (
      'ResNet-18, 100 epochs of SimCLR on CIFAR-10 with five objectives, on embeddings '
      'of unit length and of any length.')
  c.data_label = 'CIFAR-10'
  c.seeds = (0, 1, 2)
  methods, names = {}, {}
  for objective, shown in OBJECTIVES.items():
    for semi_hard in ((False,) if objective == 'nt_xent' else (False, True)):
      for similarity, length in LENGTHS.items():
        name = f'{objective}{"_semi_hard" if semi_hard else ""}_{similarity}'
        methods[name] = _simclr(objective, similarity, semi_hard)
        names[name] = f'{shown}{" (semi-hard)" if semi_hard else ""}{length}'
  c.methods = ConfigDict(methods, sort_keys=False)
  c.evaluations = ConfigDict(
      dict(linear=evaluate.get_config('linear'), knn=evaluate.get_config('knn')),
      sort_keys=False)
  c.display_names = names
  return c


def _simclr(objective: str, similarity: str, semi_hard: bool) -> ConfigDict:
  c = simclr_cifar10.get_config('resnet18')
  c.method.update(objective=objective, similarity=similarity, semi_hard=semi_hard,
                  margin=0.5)
  c.train.epochs = 100.
  return c
