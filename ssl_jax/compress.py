"""Prunes and quantizes a trained encoder while it trains further on its own task.

    python -m ssl_jax.compress --checkpoint=runs/simclr --workdir=runs/simclr/prune95
    python -m ssl_jax.compress --checkpoint=runs/simclr \\
        --config=configs/compress.py:prune99 --workdir=runs/simclr/prune99

The result is an encoder as any other: it can be evaluated and fine-tuned. The file
network.packed in the workdir holds the same encoder in as few bytes as possible. It is
smaller, but not faster. It can be given as --checkpoint to other commands.
"""
import pathlib

from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import compress


def main() -> None:
  cli.setup_jax()
  config = cli.config(_CONFIG)
  workdir = pathlib.Path(cli.require(_WORKDIR, 'runs/simclr/prune95'))
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  print(compress.show(compress.run(config, checkpoint, workdir)))
  print(f'The encoder: {workdir}/checkpoints')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(compress.Config, 'configs/compress.py')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of the run whose encoder is compressed.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for checkpoints, metrics.jsonl, result.json and the '
      'compressed encoder.')
  cli.run(main, _CONFIG)
