"""Prepares a data set on disk, once: download, check, convert. No TensorFlow.

  python -m ssl_jax.prepare_data --dataset=cifar10
  python -m ssl_jax.prepare_data --dataset=cifar100 --archive=cifar-100-python.tar.gz
  python -m ssl_jax.prepare_data --dataset=folder --source=photos --name=photos

Interrupt it and run it again as you like. Afterwards the name goes into a
config: config.data.name = 'cifar10'. `digits`, `synthetic` and `folder:/path`
need no preparation.
"""

from absl import flags

from ssl_jax import cli
from ssl_jax.jobs import prepare_data


def main() -> None:
  dataset = cli.require(_DATASET, 'cifar10')
  print(prepare_data.run(dataset, _DATA_DIR.value, _ARCHIVE.value, _SOURCE.value,
                         _NAME.value, _MAX_BAD_IMAGES.value))


if __name__ == '__main__':
  _DATASET = flags.DEFINE_string(
      'dataset', None, 'What to prepare: cifar10, cifar100 or folder. For other TFDS '
      'data sets see `tfds build --help`, with --file_format=array_record.')
  _DATA_DIR = flags.DEFINE_string(
      'data_dir', None, 'Where TFDS data sets are kept. Default: $TFDS_DATA_DIR, or '
      '~/tensorflow_datasets.')
  _ARCHIVE = flags.DEFINE_string(
      'archive', None, 'For cifar10 and cifar100: the original cifar-*-python.tar.gz, '
      'on a machine that cannot download it.')
  _SOURCE = flags.DEFINE_string(
      'source', None, 'For folder: the image folder. It holds one sub-folder per '
      'class, or loose images without labels, or train/, val/ and test/ that do.')
  _NAME = flags.DEFINE_string(
      'name', None, 'For folder: what configs will call the new data set.')
  _MAX_BAD_IMAGES = flags.DEFINE_integer(
      'max_bad_images', 10, 'For folder: how many images may be corrupt; they are '
      'named and left out.')
  cli.run(main)
