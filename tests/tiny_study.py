"""Makes the config of a study of two methods that runs in seconds."""

import tiny


def config(seeds=(0,)):
  """Returns a study of two methods: kNN of both, and a probe of one."""
  simclr = {k: v for k, v in tiny.config(epochs=1).items() if k != 'seed'}
  simclr['model'] = {'name': 'stub'}
  untrained = {**simclr, 'train': {'epochs': 0}}
  return {
      'name': 'tiny', 'seeds': list(seeds), 'data_label': 'synthetic',
      'methods': {'simclr': simclr, 'random': untrained},
      'display_names': {'simclr': 'SimCLR', 'random': 'Random encoder'},
      'evaluations': {'knn': {'protocol': {'name': 'knn', 'k': 5}},
                      'probe': {**head(), 'methods': ['simclr']}}}


def compressed(seeds=(0,), source='simclr'):
  """Returns a study of a method, and of the same encoder with half of its weights."""
  fields = config(seeds)
  simclr = fields['methods']['simclr']
  fields['methods'] = {
      'simclr': {**simclr, 'model': {'name': 'staged'}},
      'small': {'compressed_from': source, 'compression': dict(
          sparsity=0.5, schedule='one_shot', start=0., floor=0.),
                **{name: simclr[name] for name in ('feed', 'optim', 'train')}}}
  fields['evaluations'] = {'knn': fields['evaluations']['knn']}
  fields['display_names'] = {}
  return fields


def head():
  return {'features': {'endpoint': 'pooled', 'pool': 'mean', 'batch_size': 16},
          'feed': {'batch_size': 16}, 'augment': {'recipe': 'crop_flip'},
          'optim': {'name': 'sgd', 'learning_rate': 0.1}, 'train': {'epochs': 1},
          'log': {'tensorboard': False}}


def by_labels(fields):
  subsets = {'few': {'per_class': 2, 'repeat': True}, 'all': None}
  return {**fields, 'data': {'validation_fraction': 0}, 'subsets': subsets}
