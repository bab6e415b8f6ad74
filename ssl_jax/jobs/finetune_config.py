"""Declares the config of a fine-tuning or a probe, and parses it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ssl_jax import config as config_lib
from ssl_jax import errors, models
from ssl_jax.augment import policies
from ssl_jax.data import datasets
from ssl_jax.data import feed as feed_lib
from ssl_jax.evaluators import scores
from ssl_jax.jobs import evaluate_config, grid_search
from ssl_jax.methods import compressed
from ssl_jax.train import optim, training

# Defaults: a linear head, and the head as the first stage that is trained.
LINEAR_HEAD = {'name': 'linear'}
FREEZE_ENCODER = 'head'


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(training.TrainConfig):
  """Sets the length and precision of a training; either `epochs` or `steps` is set."""
  epochs: float | None = config_lib.field(
      None, low=0, doc='Length of the training in epochs of the labelled images; None '
      'if steps is set')
  steps: int | None = config_lib.field(
      None, low=1, doc='Length of the training in steps; None if epochs is set')

  def __post_init__(self):
    if (self.steps is None) == (self.epochs is None):
      raise errors.UserError(
          f'config.train.epochs is {self.epochs} and config.train.steps is '
          f'{self.steps}; set exactly one of them, and the other to None, for example '
          '--config.train.epochs=None')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """Declares a fine-tuning or a probe: the fields of a config of these binaries."""
  seed: int = config_lib.field(
      low=0, high=2**32 - 1,
      doc='Seed of the head, of the order of the images and of the augmentation')
  head: Any = config_lib.section(
      models.HEADS, key='name', given=('dtype',), default=LINEAR_HEAD,
      doc='The classifier')
  features: Any = config_lib.section(evaluate_config.FeaturesConfig)
  feed: Any = config_lib.section(feed_lib.FeedConfig)
  freeze_until: str | None = config_lib.field(
      FREEZE_ENCODER, doc="First stage that is trained, such as 'stage3'; 'head' "
      'trains the classifier only, and None trains all layers')
  layer_decay: float = config_lib.field(
      1., above=0, high=1, doc='Factor of the learning rate for each stage further '
      'from the head')
  bn_momentum: float | str | None = config_lib.field(
      None, low=0, below=1, choices=('auto',),
      doc='Fraction of the running statistics that each step keeps; None is the '
      'default of the layers, and auto depends on the number of steps of an epoch')
  compression: Any = config_lib.section(
      compressed.Compression, optional=True, doc='Pruning and quantization')
  from_scratch: bool = config_lib.field(
      False, doc='Whether the network is initialised at random instead of with the '
      'weights of the encoder')
  score: str = config_lib.field(
      'top1', choices=scores.HEADLINES,
      doc='Score by which a grid chooses, and which a report shows')
  grid: Any = config_lib.section(grid_search.SearchSpace, optional=True)
  augment: Any = config_lib.section(
      policies.RECIPES, key='recipe', overrides=True,
      doc="Augmentation; size, mean and std are the encoder's if they are not set")
  optim: Any = config_lib.section(optim.Optim)
  train: Any = config_lib.section(TrainConfig)
  data: Any = config_lib.section(
      evaluate_config.EncoderData, default={}, overrides=True, none_is_default=True)
  log: Any = config_lib.section(training.LogConfig, default={})
  pretrain: dict | None = config_lib.internal('The config of the encoder')
  encoder: dict | None = config_lib.internal('The identity of the encoder')
  refit: bool | None = config_lib.internal('Whether validation images are trained on')


def parse(config: Mapping[str, Any]) -> Config:
  """Parses a plain config, which checks it.

  Raises:
    errors.UserError: the config has a mistake that does not depend on the encoder.
  """
  spec = config_lib.build(Config, config)
  datasets.check(spec.data)
  if spec.from_scratch and spec.freeze_until is not None:
    raise errors.UserError(
        f'config.from_scratch is set, but config.freeze_until is '
        f'{spec.freeze_until!r}; frozen layers would stay random, so set it to None')
  if spec.compression is not None and spec.compression.distillation:
    raise errors.UserError(
        f'config.compression.distillation is {spec.compression.distillation:g}, but a '
        'fine-tuning has no teacher; set it to 0 here, and use it in python -m '
        'ssl_jax.compress before the fine-tuning')
  if spec.compression is not None and spec.freeze_until is not None:
    raise errors.UserError(
        f'config.compression is set, but config.freeze_until is {spec.freeze_until!r}; '
        'frozen layers would be neither pruned nor quantized, so set it to None')
  if spec.grid is not None:
    grid_search.check(spec.data)
  return spec
