"""Trains a classifier on a frozen encoder, with crop and flip, as the papers do.

    python -m ssl_jax.linear_probe --checkpoint=runs/simclr --workdir=runs/simclr/probe

The head is linear (Chen et al. 2020, arXiv:2002.05709, appendix B.6), or one of
RotNet's nonlinear heads (arXiv:1803.07728): --config=configs/linear_probe.py:mlp or
:conv_block. It is fine-tuning (ssl_jax.finetune) of the head only. Probes on cached
features, which take seconds, are in ssl_jax.evaluate (linear, logistic).
"""
import pathlib

from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import evaluate, finetune, linear_probe


def main() -> None:
  cli.setup_jax()
  workdir = pathlib.Path(cli.require(_WORKDIR, 'runs/simclr/linear_probe'))
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  result = linear_probe.run(cli.config(_CONFIG), checkpoint, workdir)
  print(evaluate.show(result))
  print(f'Per class and confusion: {workdir}/result.json')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(finetune.Config, 'configs/linear_probe.py')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a pre-training run, or a file of weights '
      'such as a.safetensors.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for the head, metrics.jsonl and result.json.')
  cli.run(main, _CONFIG)
