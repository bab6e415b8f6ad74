"""Evaluates a trained encoder: kNN, 1-NN, linear probe, logistic regression.

    python -m ssl_jax.evaluate --checkpoint=runs/simclr --config=configs/evaluate.py:knn
    python -m ssl_jax.evaluate --checkpoint=runs/simclr --output=features.npz

The encoder only computes features, so an evaluation cannot change it. Train a probe
with augmentation by ssl_jax.linear_probe, and the encoder itself by ssl_jax.finetune.
The preset `own_head` scores the classifier that either of them has trained.
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
      'checkpoint', None, 'The --workdir of a pre-training run, or a file of weights '
      'such as a.safetensors.')
  _OUTPUT = flags.DEFINE_string(
      'output', None, 'An .npz file, to which only the features of all splits are '
      'written; the images need no labels.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for result.json. Default: a folder in '
      '<checkpoint>/evaluations that is named after the protocol.')
  cli.run(main, _CONFIG)
