"""Measures how fast a config trains, or predicts it for TPUs and GPUs elsewhere.

    python -m ssl_jax.benchmark --config=configs/simclr_cifar10.py
    python -m ssl_jax.benchmark --config=configs/simclr_imagenet.py \\
        --topology=v5e:16x16
    python -m ssl_jax.benchmark --config=configs/simclr_cifar10.py --topology=h100

The first times the training step, its parts and its compilation. The others compile
that step for a TPU slice or a GPU (they need the extra `tpu` or `cuda`, but no device,
no driver and no data) and show memory, collectives and what they predict, and of a GPU
the kernels. All end in a table and, with --output, in JSON; the text of a compiled
program is then written next to it. Fields of the config are flags, as for `pretrain`.
On a CPU a small network is done in minutes:

    python -m ssl_jax.benchmark --config=configs/simclr_cifar10.py:resnet20 \\
        --config.feed.batch_size=64
"""

import jax
from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import pretrain, workdir
from ssl_jax.performance import ahead_of_time, measure, tables


def main() -> None:
  if _TOPOLOGY.value:  # Nothing runs, and without a driver JAX rejects a GPU's plugin.
    jax.config.update('jax_platforms', 'cpu')
  cli.setup_jax()
  # Reading a program from the cache would be told as the time of its compilation.
  jax.config.update('jax_enable_compilation_cache', False)
  config = cli.config(_CONFIG)
  output = cli.output_file(_OUTPUT)
  if _TOPOLOGY.value:
    text = output and output.with_suffix('.hlo')
    result = ahead_of_time.run(config, _TOPOLOGY.value, text)
    table = tables.compiled(result)
  else:
    result = measure.run(config, _DATA.value, _REPEATS.value)
    table = tables.measured(result)
  if jax.process_index() == 0:
    print(table)
    if output:
      workdir.write_json(output, result)
      print(f'\nWritten to {output}')


if __name__ == '__main__':
  # No default: to compile the step of a large network takes minutes on a CPU.
  _CONFIG = config_file.ConfigFlag(pretrain.Config, None)
  _TOPOLOGY = flags.DEFINE_string(
      'topology', None, 'Compile for these TPUs or GPUs instead: v5e:16x16, h100:8.')
  _DATA = flags.DEFINE_string(
      'data', 'synthetic', '"synthetic": random images of the same shape, read without '
      'decoding; or "real".')
  _REPEATS = flags.DEFINE_integer('repeats', 5, 'Samples of everything.', lower_bound=1)
  _OUTPUT = flags.DEFINE_string('output', None, 'JSON file for the figures.')
  cli.run(main, _CONFIG)
