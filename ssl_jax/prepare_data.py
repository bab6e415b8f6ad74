"""Prepares a data set on disk, once: download, check, convert. No TensorFlow.

  python -m ssl_jax.prepare_data --dataset=cifar10
  python -m ssl_jax.prepare_data --dataset=cifar100 --archive=cifar-100-python.tar.gz
  python -m ssl_jax.prepare_data --dataset=folder --source=photos --name=photos

Interrupt it and run it again as you like. Afterwards the name goes into a
config: config.data.name = 'cifar10'. `digits`, `synthetic` and `folder:/path`
need no preparation.
"""

import os

from absl import flags

from ssl_jax import app, errors
from ssl_jax.data import prepare


def run(dataset: str, data_dir: str | None = None, archive: str | None = None,
        source: str | None = None, name: str | None = None,
        max_bad_images: int = 10) -> str:
  """Prepares one data set; returns the sentence that says where it is.

  Raises:
    errors.UserError: see `prepare.cifar` and `prepare.image_folder`, or a flag
      is missing.
  """
  data_dir = os.path.expanduser(
      data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets')
  if dataset == 'folder':
    if not source or not name:
      raise errors.UserError(f'--{"name" if source else "source"} is missing; '
                             '--dataset=folder needs --source and --name')
    path = prepare.image_folder(source, name, data_dir, max_bad_images)
  else:
    errors.choose('--dataset', dataset, {**prepare.CIFAR, 'folder': None})
    name, path = dataset, prepare.cifar(dataset, data_dir, archive)
  return (f'{name} is ready in {path}. Train on it with TFDS_DATA_DIR={data_dir} and '
          f'--config.data.name={name}')


def main() -> None:
  dataset = app.require(_DATASET, 'cifar10')
  print(run(dataset, _DATA_DIR.value, _ARCHIVE.value, _SOURCE.value, _NAME.value,
            _MAX_BAD_IMAGES.value))


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
  app.run(main)
