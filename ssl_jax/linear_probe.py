"""The probes of the papers: a frozen encoder, crop and flip on every step.

    python -m ssl_jax.linear_probe --checkpoint=runs/simclr --workdir=runs/simclr/probe

The head is linear (Chen et al. 2020, arXiv:2002.05709, appendix B.6), or one of
RotNet's nonlinear ones (arXiv:1803.07728): --config=configs/linear_probe.py:mlp or
:conv_block. It is fine-tuning (ssl_jax.finetune) of nothing but the head. Probes on
cached features, which take seconds, are in ssl_jax.evaluate (linear, logistic).
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from absl import flags

from ssl_jax import app, config_file, errors, evaluate, finetune


def check(config: Mapping[str, Any]) -> None:
  """Raises `errors.UserError` for what is wrong whatever the encoder is."""
  first = config.get('freeze_until', finetune.PROBE)
  if first != finetune.PROBE:
    raise errors.UserError(
        f'config.freeze_until is {first!r}, but the encoder of a probe is frozen '
        'throughout; train with python -m ssl_jax.finetune, or remove the field')
  finetune.check(config)


def run(config: Mapping[str, Any], checkpoint: pathlib.Path | str,
        workdir: pathlib.Path | str, label: str = 'probe') -> dict[str, Any]:
  """Trains the probe and scores it; returns and writes what result.json holds."""
  check(config)
  return finetune.run(config, checkpoint, workdir, label)


def main() -> None:
  app.setup_jax()
  workdir = pathlib.Path(app.require(_WORKDIR, 'runs/simclr/linear_probe'))
  result = run(app.config(_CONFIG), app.require(_CHECKPOINT, 'runs/simclr'), workdir)
  print(evaluate.show(result))
  print(f'Per class and confusion: {workdir}/result.json')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(finetune.Config, 'configs/linear_probe.py')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a pre-training run.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for the head, metrics.jsonl and result.json.')
  app.run(main, _CONFIG)
