"""Measures a trained encoder: kNN, 1-NN, linear probe, logistic regression.

    python -m ssl_jax.evaluate --checkpoint=runs/simclr --config=configs/evaluate.py:knn
    python -m ssl_jax.evaluate --checkpoint=runs/simclr --output=features.npz

The encoder is asked for features and for nothing else, so it cannot change
here. Probes with augmentation are ssl_jax.linear_probe, and ssl_jax.finetune trains
the encoder further; `own_head` measures what either of them made.
"""
from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import evaluate


def main() -> None:
  cli.setup_jax()
  config = cli.config(_CONFIG)
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  if _OUTPUT.value:
    print('\n'.join(evaluate.write_features(config, checkpoint, _OUTPUT.value)))
    return
  workdir = _WORKDIR.value or evaluate.default_workdir(config, checkpoint)
  print(evaluate.show(evaluate.run(config, checkpoint, workdir)))
  print(f'Per class and confusion: {workdir}/result.json')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(evaluate.Config, 'configs/evaluate.py:knn')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of a pre-training run.')
  _OUTPUT = flags.DEFINE_string(
      'output', None, 'Only write the features of all splits to this .npz; images need '
      'no labels.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for result.json; a folder of its own in '
      '<checkpoint>/evaluations if not given.')
  cli.run(main, _CONFIG)
