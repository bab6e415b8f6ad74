"""Trains an encoder by SimCLR or any other method of ssl_jax/methods.

    python -m ssl_jax.pretrain --config=configs/simclr_cifar10.py --workdir=runs/a

Run the same command again to continue a run that was stopped. Every field of the config
can be set on the command line: --config.optim.learning_rate=0.5
"""
import pathlib

from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import pretrain


def main() -> None:
  cli.setup_jax()
  config = cli.config(_CONFIG)
  workdir = pathlib.Path(cli.require(_WORKDIR, 'runs/simclr'))
  print(pretrain.show(pretrain.run(config, workdir)))
  print(f'The encoder: {workdir}/checkpoints')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(pretrain.Config, 'configs/simclr_cifar10.py')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for checkpoints, metrics.jsonl and result.json.')
  cli.run(main, _CONFIG)
