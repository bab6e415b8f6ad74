"""The main job: pre-train several methods, evaluate them alike, report.

    python -m ssl_jax.study --config=configs/studies/quickstart.py --workdir=runs/q
    python -m ssl_jax.study --config=configs/studies/label_fractions_resnet20.py \\
        --workdir=runs/b --scale=0.05

A study is a list of methods, seeds and evaluations. A method is a pre-training
config, or with `checkpoint` a run that there is already: its workdir, in which {seed}
stands for the seed. Every stage has a folder of its own,
<workdir>/<method>/seed<k>/<stage>. A stage that is done for the same config is not
done again: after a kill, or with one more seed, run the same command again. --scale
rehearses it on a part of the images, epochs and widths.
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
      'scale', None, 'Rehearse: this fraction of the images and epochs, narrower '
      'networks; between 0 and 1.')
  cli.run(main, _CONFIG)
