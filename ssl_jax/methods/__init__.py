"""Builds a method from the config of a run. A new method adds a line to METHODS."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ssl_jax import config as config_lib
from ssl_jax import errors, models
from ssl_jax.augment import policies
from ssl_jax.methods import base, byol, finetune, rotnet, simclr, simsiam, supervised
from ssl_jax.methods.network import Network

# Arguments of a method that come from other sections of the config than `method`.
PARTS = ('network', 'dtype', 'grad_cache_chunks', 'policies', 'preprocess')
METHODS: dict[str, type[base.Base]] = {
    'byol': byol.BYOL,
    'rotnet': rotnet.RotNet,
    'simclr': simclr.SimCLR,
    'simsiam': simsiam.SimSiam,
    'supervised': supervised.Supervised,
}


def build(config: Mapping[str, Any], num_classes: int) -> base.Base:
  """Builds the method that `config` describes.

  Args:
    config: plain; reads the sections `method`, `augment`, `model`, those of the
      heads that the method has (`projector`, `predictor`), `train.precision` and
      `train.grad_cache_chunks`; with a section `pretrained`, the config of the run that
      is fine-tuned, see `_fine_tune`.
    num_classes: of the data, 0 where there are no labels.

  Raises:
    errors.UserError: an unknown name, field or value.
  """
  if 'pretrained' in config:
    return _fine_tune(config, num_classes)
  fields = dict(config['method'])
  cls = errors.lookup('config.method.name', fields.pop('name', ''), METHODS)
  dtype = compute_dtype(config['train'].get('precision', 'auto'))
  network = Network(encoder=models.build(**config['model'], dtype=dtype),
                    **cls.build_heads(config, num_classes, dtype))
  return config_lib.build(
      cls, fields, 'method', network=network, dtype=dtype,
      grad_cache_chunks=config['train'].get('grad_cache_chunks', 1),
      policies=policies.per_crop(config['augment'], cls.num_crops),
      preprocess=policies.evaluation(config['augment']))


def _fine_tune(config: Mapping[str, Any], num_classes: int) -> finetune.FineTune:
  """A fine-tuned network, or a probe, at its own precision; see ssl_jax/finetune.py.

  Reads `augment`, `head`, `features.endpoint` and `features.pool`,
  `method.freeze_until` and `method.bn_momentum`, `train.precision` and
  `train.grad_cache_chunks`.
  """
  before = config['pretrained']
  precision = config['train'].get('precision', 'auto')
  pretrained = build({**before, 'train': {**before['train'], 'precision': precision}},
                     len(before['dataset']['class_names']))
  head = models.build_head(**config['head'], num_classes=num_classes,
                           dtype=pretrained.dtype)
  features = config['features']
  return finetune.FineTune(
      network=finetune.Classifier(pretrained.network, head, features['endpoint'],
                                  features['pool']),
      policies=policies.per_crop(config['augment'], finetune.FineTune.num_crops),
      preprocess=policies.evaluation(config['augment']),
      dtype=pretrained.dtype,
      grad_cache_chunks=config['train'].get('grad_cache_chunks', 1),
      freeze_until=config['method']['freeze_until'],
      bn_momentum=config['method'].get('bn_momentum'))


def compute_dtype(precision: str) -> Any:
  """'auto' is bfloat16 but on the CPU, which has no fast bfloat16 convolution."""
  auto = jnp.float32 if jax.default_backend() == 'cpu' else jnp.bfloat16
  return errors.lookup('config.train.precision', precision, {
      'auto': auto, 'float32': jnp.float32, 'bfloat16': jnp.bfloat16})
