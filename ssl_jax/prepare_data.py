"""Prepares a data set on disk: downloads, checks and converts it.

  python -m ssl_jax.prepare_data --dataset=cifar10
  python -m ssl_jax.prepare_data --dataset=cifar100 --archive=cifar-100-python.tar.gz
  python -m ssl_jax.prepare_data --dataset=folder --source=photos --name=photos

It does not need TensorFlow. If it is interrupted, run it again. Afterwards set the name
in a config: config.data.name = 'cifar10'. The data sets `digits`, `synthetic` and
`folder:/path` need no preparation.
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
      'dataset', None, 'The data set: cifar10, cifar100 or folder. For other TFDS data '
      'sets use `tfds build` with --file_format=array_record.')
  _DATA_DIR = flags.DEFINE_string(
      'data_dir', None, 'Folder of TFDS data sets. Default: $TFDS_DATA_DIR, or '
      '~/tensorflow_datasets.')
  _ARCHIVE = flags.DEFINE_string(
      'archive', None, 'For cifar10 and cifar100: the original cifar-*-python.tar.gz, '
      'for a machine that cannot download it.')
  _SOURCE = flags.DEFINE_string(
      'source', None, 'For folder: the image folder. It has one sub-folder per class, '
      'or images without labels, or folders train/, val/ and test/ that have them.')
  _NAME = flags.DEFINE_string(
      'name', None, 'For folder: the name of the new data set in configs.')
  _MAX_BAD_IMAGES = flags.DEFINE_integer(
      'max_bad_images', 10, 'For folder: the number of images that may be corrupt; '
      'their names are printed, and they are left out.')
  cli.run(main)
