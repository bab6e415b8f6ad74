r"""Computes the pictures of a trained encoder that reports show.

    python -m ssl_jax.pictures --checkpoint=runs/simclr

They are maps of test images by PCA and t-SNE, feature maps, filters, views, nearest
neighbours and measures of collapse. They are written to <checkpoint>/pictures.
t-SNE needs openTSNE: pip install -e '.[report]'. A study computes them by its field
`pictures`.
"""
import pathlib

from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import pictures


def main() -> None:
  cli.setup_jax()
  config = cli.config(_CONFIG)
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  workdir = pathlib.Path(_WORKDIR.value or pictures.default_workdir(checkpoint))
  print(pictures.show(pictures.run(config, checkpoint, workdir)))
  print(f'Pictures: {workdir}')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(pictures.Config, 'configs/pictures.py')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a pre-training run.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder of the files. Default: <checkpoint>/pictures.')
  cli.run(main, _CONFIG)
