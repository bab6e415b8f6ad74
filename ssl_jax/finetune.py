"""Fine-tunes a trained encoder with a new classifier on it.

    python -m ssl_jax.finetune --checkpoint=runs/simclr --workdir=runs/simclr/ft1
    python -m ssl_jax.finetune --checkpoint=runs/rotnet \\
        --config=configs/finetune.py:last_stage --workdir=runs/rotnet/last_stage

`freeze_until` says which layers are frozen, `data.label_subset` which images have a
label. An epoch is one pass over the labelled images, floor(n / batch) steps; with
`data.label_subset.repeat` they are repeated until there are as many as before the
subset was taken, and an epoch keeps its number of steps. `train.steps` says how long
whatever an epoch is. The trained network can be evaluated, or fine-tuned again, like
any other run.

With `grid` there is one such run for every learning rate and weight decay, in
<workdir>/grid, which sees validation images but no test images; the best setting is
trained again on both splits, in <workdir>/refit, and tested once. Finished
settings are not trained again.
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
      'checkpoint', None, 'The --workdir of the run whose encoder is fine-tuned.')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for checkpoints, metrics.jsonl and result.json.')
  cli.run(main, _CONFIG)
