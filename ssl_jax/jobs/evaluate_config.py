"""Declares the config of an evaluation, and parses it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ssl_jax import config as config_lib
from ssl_jax import evaluators
from ssl_jax.augment import policies
from ssl_jax.data import datasets


@dataclasses.dataclass(frozen=True)
class FeaturesConfig:
  """Selects the features; see `evaluators.features.extract`."""
  endpoint: str = config_lib.field(
      'pooled', doc="Endpoint of the network, such as 'stage3', 'pooled', "
      "'projection1' or 'logits'")
  pool: str | int = config_lib.field(
      'mean', choices=('mean', 'max', 'flatten', 'none'), low=1,
      doc='How a feature map becomes a vector; a number s averages s x s regions, and '
      'none keeps the map, for a head that accepts one')
  batch_size: int = config_lib.field(
      512, low=1, doc='Number of images that are encoded at once, which is rounded up '
      'to a multiple of the number of devices')


@dataclasses.dataclass(frozen=True)
class EncoderData(datasets.DataConfig):
  """A data set in an evaluation; unset fields have the values of the encoder's data."""
  name: str | None = config_lib.field(
      None, doc=f"{datasets.DataConfig.NAMES}; None is the encoder's training data")

  def __post_init__(self):
    """Does not check fields that depend on each other: some are not known yet."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
  """Declares an evaluation: the fields of a config of this binary."""
  seed: int = config_lib.field(
      0, low=0, high=2**32 - 1,
      doc='Distinguishes repetitions; a protocol with random numbers has its own seed')
  protocol: Any = config_lib.section(
      evaluators.EVALUATORS, key='name', doc='The evaluation')
  features: Any = config_lib.section(FeaturesConfig, default={})
  preprocess: Any = config_lib.section(policies.Plain, default={}, overrides=True)
  data: Any = config_lib.section(EncoderData, default={}, overrides=True,
                                 none_is_default=True)
  pretrain: dict | None = config_lib.internal('The config of the encoder')
  encoder: dict | None = config_lib.internal('The identity of the encoder')


def parse(config: Mapping[str, Any]) -> Config:
  """Parses a plain config, which checks it.

  Raises:
    errors.UserError: the config has a mistake that does not depend on the encoder.
  """
  spec = config_lib.build(Config, config)
  datasets.check(spec.data)
  return spec
