"""Makes configs of compressed trainings, on the data and network of tiny.py."""

import tiny

SECTION = {'sparsity': 0.75, 'schedule': 'linear', 'start': 0.1, 'end': 0.4,
           'every': 0.1, 'floor': 0.0}


def pretraining(method='simclr', model='staged', train=(), **section):
  """Returns a pre-training config; `section` replaces fields of the compression."""
  return {**tiny.config(method, **dict(train)), 'model': {'name': model},
          'compression': {**SECTION, **section}}


def compress(**section):
  """Returns a config of the job that compresses a trained encoder."""
  small = tiny.config()
  return {'seed': 0, 'compression': {**SECTION, **section},
          **{name: small[name] for name in ('feed', 'optim', 'train', 'log')}}


def fine_tuning(**section):
  """Returns a config of the job that fine-tunes a trained encoder."""
  return {**compress(**section), 'freeze_until': None, 'augment': {'recipe': 'none'},
          'features': {'endpoint': 'pooled', 'batch_size': 16}}
