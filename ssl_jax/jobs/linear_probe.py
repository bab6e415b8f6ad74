"""Trains a classifier on a frozen encoder: fine-tuning of nothing but the head.

The head is linear (Chen et al. 2020, arXiv:2002.05709, appendix B.6), or one of
RotNet's nonlinear ones (arXiv:1803.07728).
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from ssl_jax import errors
from ssl_jax.jobs import finetune


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong whatever the encoder is."""
  first = config.get('freeze_until', finetune.FREEZE_ENCODER)
  if first != finetune.FREEZE_ENCODER:
    raise errors.UserError(
        f'config.freeze_until is {first!r}, but the encoder of a probe is frozen '
        'throughout; train with python -m ssl_jax.finetune, or remove the field')
  finetune.check(config)


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'probe') -> dict[str, Any]:
  """Trains the probe and scores it; returns and writes what result.json holds."""
  check(config)
  return finetune.run(config, checkpoint, workdir, label)
