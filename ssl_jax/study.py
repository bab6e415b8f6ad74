"""Pre-trains several methods, evaluates them alike, and writes a report.

    python -m ssl_jax.study --config=configs/studies/quickstart.py --workdir=runs/q
    python -m ssl_jax.study --config=configs/studies/label_fractions_resnet20.py \\
        --workdir=runs/b --scale=0.05

A study is a list of methods, seeds and evaluations. A method is the config of a
pre-training, or its `checkpoint`: the workdir of a run that exists already, in which
{seed} stands for the seed. A method with the field `compressed_from` compresses the
encoder of an earlier method; configs/studies/compression_cifar10.py is an example.
Every stage has its own folder, <workdir>/<method>/seed<k>/<stage>. A stage that is
finished for the same config is not run again, so the same command continues a study
that was stopped or has a new seed.
--scale rehearses a study with fewer images and epochs and narrower networks.
"""
import pathlib
import shlex
import sys

from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.studies import rehearsal, run, stages


def main() -> None:
  cli.setup_jax()
  workdir = pathlib.Path(cli.require(_WORKDIR, 'runs/quickstart'))
  command = shlex.join(['python', '-m', 'ssl_jax.study', *sys.argv[1:]])
  config = stages.resolve(cli.config(_CONFIG))
  if _SCALE.value is not None:
    stages.check(config)
    config = rehearsal.shrink(config, _SCALE.value)
  run.show(run.run(config, workdir, command), workdir)


if __name__ == '__main__':
  _CONFIG = config_file.ConfigFlag(stages.StudyConfig, 'configs/studies/quickstart.py')
  _WORKDIR = flags.DEFINE_string(
      'workdir', None, 'Folder for all stages and the report.')
  _SCALE = flags.DEFINE_float(
      'scale', None, 'Rehearse the study with this fraction of the images and epochs, '
      'between 0 and 1, and with narrower networks.')
  cli.run(main, _CONFIG)
