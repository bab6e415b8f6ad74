"""Trains a classifier on a frozen encoder, which is fine-tuning of the head only.

The head is linear (Chen et al. 2020, arXiv:2002.05709, appendix B.6), or one of
RotNet's nonlinear heads (arXiv:1803.07728).
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from ssl_jax import errors, plain_config
from ssl_jax.jobs import finetune, finetune_config


def parse(config: Mapping[str, Any]) -> finetune_config.Config:
  """Parses a plain config, which checks it.

  Raises:
    errors.UserError: the config has a mistake that does not depend on the encoder.
  """
  spec = finetune_config.parse(config)
  if spec.freeze_until != finetune_config.FREEZE_ENCODER:
    raise errors.UserError(
        f'config.freeze_until is {spec.freeze_until!r}, but a probe freezes the whole '
        'encoder; train with python -m ssl_jax.finetune, or remove the field')
  return spec


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'probe') -> dict[str, Any]:
  """Trains and scores a probe; writes and returns the fields of result.json.

  Args:
    config: the plain config, with the fields of `finetune_config.Config`.
    checkpoint: the workdir of the run that trained the encoder.
    workdir: the folder of this run.
    label: the name of this run in messages.

  Raises:
    errors.UserError: the config does not suit the encoder or the data.
  """
  config = plain_config.plain(config)
  return finetune.run_parsed(parse(config), config, checkpoint, workdir, label)
