"""Measures the training speed of a config, or predicts it for other TPUs and GPUs.

    python -m ssl_jax.benchmark --config=configs/simclr_cifar10.py
    python -m ssl_jax.benchmark --config=configs/simclr_imagenet.py \\
        --topology=v5e:16x16
    python -m ssl_jax.benchmark --config=configs/simclr_cifar10.py --topology=h100

The first command times the training step, its parts and its compilation. The others
compile that step for a TPU slice or a GPU (with the extra `tpu` or `cuda`, but without
device, driver and data) and show memory, collectives, predicted times and the kernels
of a GPU. All print a table. With --output they also write JSON and the text of the
compiled program. Fields of the config are flags. On a CPU use a small network:

    python -m ssl_jax.benchmark --config=configs/simclr_cifar10.py:resnet20 \\
        --config.feed.batch_size=64
"""

import jax
from absl import flags

from ssl_jax import cli, config_file
from ssl_jax.jobs import pretrain, workdir
from ssl_jax.performance import ahead_of_time, measure, tables


def main() -> None:
  if _TOPOLOGY.value:  # nothing runs, and JAX rejects a GPU's plugin without a driver
    jax.config.update('jax_platforms', 'cpu')
  cli.setup_jax()
  # With the cache, the time to read a program would be reported as compilation time.
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
  _CONFIG = config_file.ConfigFlag(pretrain.Config, None)  # large ones compile slowly
  _TOPOLOGY = flags.DEFINE_string(
      'topology', None, 'TPUs or GPUs, such as v5e:16x16 or h100:8, for which the step '
      'is compiled without running it.')
  _DATA = flags.DEFINE_string(
      'data', 'synthetic', '"synthetic" for random images of the same shape, without '
      'decoding, or "real" for those of the config.')
  _REPEATS = flags.DEFINE_integer(
      'repeats', 5, 'Number of times that each measurement is taken.', lower_bound=1)
  _OUTPUT = flags.DEFINE_string('output', None, 'JSON file for the results.')
  cli.run(main, _CONFIG)
