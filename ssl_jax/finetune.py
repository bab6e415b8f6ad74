"""Fine-tunes a trained encoder with a new classifier on it.

    python -m ssl_jax.finetune --checkpoint=runs/simclr --workdir=runs/simclr/ft1
    python -m ssl_jax.finetune --checkpoint=runs/rotnet \\
        --config=configs/finetune.py:last_stage --workdir=runs/rotnet/last_stage

`freeze_until` selects the layers that are frozen, and `data.label_subset` the images
that have a label. An epoch is one pass over the n labelled images, floor(n / batch
size) steps. With `data.label_subset.repeat`, these images are repeated until their
number is that before the subset was taken, so an epoch keeps its number of steps.
`train.steps` sets the length without epochs. The trained network can be evaluated, or
fine-tuned again, like that of any other run.

With `grid`, one network is trained for every learning rate and weight decay, in
<workdir>/grid, and scored on validation images but not on test images. The best setting
is trained again on the training and validation images, in <workdir>/refit, and scored
on the test images once. Finished settings are not trained again.
"""

import pathlib

from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import evaluate, finetune


def main() -> None:
  cli.setup_jax()
  workdir = pathlib.Path(cli.require(_WORKDIR, 'runs/simclr/finetune'))
  checkpoint = cli.require(_CHECKPOINT, 'runs/simclr')
  result = finetune.run(cli.config(_CONFIG), checkpoint, workdir)
  print(evaluate.show(result))
  print(f'Per class and confusion: {workdir}/result.json')


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(finetune.Config, 'configs/finetune.py')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'The --workdir of the run whose encoder is fine-tuned, or a '
      'file of weights such as a.safetensors.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for checkpoints, metrics.jsonl and result.json.')
  cli.run(main, _CONFIG)
